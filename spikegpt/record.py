"""One PyTorch run of a checkpoint as plain arrays, for comparison with the simulator."""

from pathlib import Path

import numpy as np
import torch

from spikegpt.checkpoint import load
from spikegpt.model import Taps


@torch.no_grad()
def record(path: str | Path, tokens: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits (T, V) and spikes {population: (T, n) uint8} of a checkpoint fed tokens (T,) from an empty state."""
    taps: Taps = {}
    logits, _ = load(path).run(torch.from_numpy(np.asarray(tokens, np.int64))[None], None, taps)
    return logits[0].numpy(), {name: train[0].numpy().astype(np.uint8) for name, train in taps.items()}
