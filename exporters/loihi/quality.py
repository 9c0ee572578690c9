"""What quantisation and pruning cost: bits per byte of the float graph and of the exported integers on one text."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import nir
import numpy as np

from hw_sim.plan import Plan
from hw_sim.results import Counts, merge
from hw_sim.simulator import Simulator
from spikegpt.tokenizer import Tokenizer

CHUNK = 1024  # tokens whose logits are held at once


@dataclass(frozen=True)
class Quality:
    """Bits per byte, teacher-forced in one stream from an empty state, over `tokens` tokens but the first."""

    tokens: int
    float_bits_per_byte: float
    exported_bits_per_byte: float

    @property
    def increase(self) -> float:
        """What the exported network needs more, as a share."""
        return self.exported_bits_per_byte / self.float_bits_per_byte - 1


def quality(
    graph: nir.NIRGraph,
    plan: Plan,
    tokens: np.ndarray,
    tokenizer: Tokenizer,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Quality, Counts]:
    """Run tokens (T,) through the float graph and the integer plan; returns their quality and the counts of the plan.

    `progress` is told every count of tokens done, 2 T in all. Raises UserError as the simulator does.
    """
    size = len(tokenizer.decode(tokens[1:]))
    exact, _ = score(Simulator.from_nir(graph), tokens, progress)
    exported, counts = score(Simulator(plan), tokens, progress)
    return Quality(len(tokens), exact / size, exported / size), counts


def score(simulator: Simulator, tokens: np.ndarray, progress: Callable[[int], None]) -> tuple[float, Counts]:
    """-log2 p of every token after the first, summed, and the counts of the run; logits are held chunk by chunk."""
    nats, parts = 0.0, []
    for low in range(0, len(tokens), CHUNK):
        result = simulator.run(tokens[low : low + CHUNK], progress=progress)
        following = tokens[low + 1 : low + CHUNK + 1]
        z = result.logits[: len(following)].astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        nats += float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), following]).sum())
        parts.append(Counts(result.matrices, result.populations))
    return nats / math.log(2), merge(parts)
