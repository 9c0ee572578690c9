"""One PyTorch run of a model as plain arrays, for comparison with the simulator."""

import numpy as np
import torch

from spikegpt.model import SpikeGPT, Taps


@torch.no_grad()
def record(model: SpikeGPT, tokens: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits (T, V) and spikes {population: (T, n) uint8} of a model fed tokens (T,) from an empty state."""
    taps: Taps = {}
    logits, _ = model.run(torch.from_numpy(np.asarray(tokens, np.int64))[None], None, taps)
    return logits[0].numpy(), {name: train[0].numpy().astype(np.uint8) for name, train in taps.items()}
