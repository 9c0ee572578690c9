"""Sampling from the recurrent form: constant memory and work per token."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from spikegpt.model import SpikeGPT
from spikegpt.sampling import TokenText, continue_text
from spikegpt.tokenizer import Tokenizer
from spikegpt.transformer import Transformer


def generate(
    model: SpikeGPT | Transformer,
    tokenizer: Tokenizer,
    prompt: bytes,
    count: int,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
) -> Iterator[TokenText]:
    """`count` tokens with their text after `prompt`, as `sampling.continue_text` gives it."""
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

    return continue_text(feed, tokenizer, prompt, count, temperature, top_p, seed)
