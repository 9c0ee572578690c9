"""What quantisation and pruning cost: bits per byte of the float graph and of the exported integers on one text."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import nir
import numpy as np

from hw_sim.counts.counts import Counts
from hw_sim.plan import Plan
from hw_sim.run.simulator import Simulator
from hw_sim.run.streams import score
from spikegpt.tokenizer import Tokenizer


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
    exact, exported = (score(s, tokens, progress) for s in (Simulator.from_nir(graph), Simulator(plan)))
    bits = (found.nats / math.log(2) / size for found in (exact, exported))
    return Quality(len(tokens), *bits), exported.counts
