"""Texts through a plan without keeping their logits: one stream, or many independent ones over cores."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hw_sim.plan import Op, Plan
from hw_sim.results import Counts, merge
from hw_sim.simulator import CHUNK, Simulator
from hw_sim.traces import Trace

LOGITS = 1 << 24  # kept at a time


@dataclass(frozen=True)
class Score:
    """What texts cost and how well they were predicted: `nats` over `predicted` tokens, all after the first of each."""

    nats: float
    predicted: int
    counts: Counts


def next_token_nats(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """-ln p of targets (T,) under logits (T, V), float64."""
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    return np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]


def score(
    simulator: Simulator,
    tokens: np.ndarray,
    progress: Callable[[int], None] = lambda done: None,
    trace: Trace | None = None,
) -> Score:
    """Run tokens (T,) from the simulator's state on, in bounded memory. Raises UserError as `Simulator.run` does."""
    (output,) = simulator.plan.rows(Op.OUTPUT)
    width = int(simulator.plan.field("n_out")[output])
    piece = trace.piece if trace else max(CHUNK, LOGITS // width // CHUNK * CHUNK)
    sums, total = [], None
    for low in range(0, len(tokens), piece):
        part = tokens[low : low + piece]
        result = simulator.run(part, record=trace is not None, progress=progress)
        targets = tokens[low + 1 : low + 1 + len(part)]
        sums.append(float(next_token_nats(result.logits[: len(targets)], targets).sum()))
        counts = Counts(result.matrices, result.populations)
        total = counts if total is None else merge([total, counts])
        if trace:
            trace.add(result, simulator.state)
    assert total is not None  # an empty text was refused by the first run
    return Score(math.fsum(sums), len(tokens) - 1, total)


def cut(tokens: np.ndarray, streams: int) -> list[np.ndarray]:
    """A text in equal parts, each run from the empty state; fewer where they would fall below two tokens."""
    return np.array_split(tokens, max(1, min(streams, len(tokens) // 2)))


def combine(scores: Sequence[Score]) -> Score:
    """The scores of several texts as one; the same in whatever order they were computed."""
    return Score(math.fsum(s.nats for s in scores), sum(s.predicted for s in scores), merge([s.counts for s in scores]))


def score_streams(
    plan: Plan, streams: Sequence[np.ndarray], cores: int, progress: Callable[[int], None] = lambda done: None
) -> Score:
    """Independent texts, each on a core of its own."""

    def one(tokens: np.ndarray) -> Score:
        return score(Simulator(plan, threads=1), tokens, progress)

    with ThreadPoolExecutor(cores) as pool:
        return combine(list(pool.map(one, streams)))
