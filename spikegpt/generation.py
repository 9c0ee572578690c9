"""The recurrent form as what a text is continued by: constant memory and work per token."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from spikegpt.model import SpikeGPT
from spikegpt.transformer import Transformer


def feed_of(model: SpikeGPT | Transformer) -> Callable[[np.ndarray], np.ndarray]:
    """Takes the next tokens (T,) of a stream and gives the logits (V,) after the last, for `sampling.continue_text`."""
    state: Any = None
    device = model.head.weight.device

    @torch.no_grad()
    def feed(tokens: np.ndarray) -> np.ndarray:
        nonlocal state
        read = torch.from_numpy(tokens).to(device)
        if state is None:
            logits, state = model.run(read[None])  # the parallel form reads the prompt
            return logits[0, -1].cpu().numpy()
        logits, state = model.step(read, state)
        return logits[0].cpu().numpy()

    return feed
