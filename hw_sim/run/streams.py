"""Texts through a plan without keeping their logits: one stream, or many independent ones over cores."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from threading import Event

import numpy as np

from hw_sim.counts.counts import Counts, Result, Score, merge
from hw_sim.plan import Plan
from hw_sim.run.resume import Finished
from hw_sim.run.simulator import CHUNK, Simulator
from hw_sim.run.traces import Trace

LOGITS = 1 << 21  # kept at a time
ROWS = 4  # of logits turned into float64 at a time


def next_token_nats(logits: np.ndarray, targets: np.ndarray) -> float:
    """The sum of -ln p of targets (T,) under logits (T, V)."""
    return math.fsum(token_nats(logits, targets))


def token_nats(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """-ln p of each of targets (T,) under logits (T, V): (T,) float64."""
    found = np.empty(len(targets))
    for low in range(0, len(targets), ROWS):
        z = logits[low : low + ROWS].astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        chosen = z[np.arange(len(z)), targets[low : low + ROWS]]
        found[low : low + ROWS] = np.log(np.exp(z, out=z).sum(axis=1)) - chosen
    return found


def score_of(result: Result, tokens: np.ndarray) -> Score:
    """The score of a run over tokens (T,) whose logits were kept."""
    counts = Counts(result.matrices, result.populations)
    return Score(next_token_nats(result.logits[:-1], tokens[1:]), len(tokens) - 1, counts)


def score(
    simulator: Simulator,
    tokens: np.ndarray,
    progress: Callable[[int], None] = lambda done: None,
    trace: Trace | None = None,
) -> Score:
    """Run tokens (T,) from the simulator's state on, in bounded memory. Raises UserError as `Simulator.run` does."""
    piece = trace.piece if trace else max(1, min(LOGITS // simulator.plan.width, 8 * CHUNK))
    sums, total = [], None
    for low in range(0, len(tokens), piece):
        part = tokens[low : low + piece]
        result = simulator.run(part, record=trace is not None, progress=progress)
        targets = tokens[low + 1 : low + 1 + len(part)]
        sums.append(next_token_nats(result.logits[: len(targets)], targets))
        counts = Counts(result.matrices, result.populations)
        total = counts if total is None else merge([total, counts])
        if trace:
            trace.add(result, simulator.state)
    assert total is not None, "a text has at least one token"
    return Score(math.fsum(sums), len(tokens) - 1, total)


def cut(tokens: np.ndarray, streams: int) -> list[np.ndarray]:
    """A text in equal parts, each run from the empty state; fewer where they would fall below two tokens."""
    return np.array_split(tokens, max(1, min(streams, len(tokens) // 2)))


def combine(scores: Sequence[Score]) -> Score:
    """The scores of several texts as one; the same in whatever order they were computed."""
    return Score(math.fsum(s.nats for s in scores), sum(s.predicted for s in scores), merge([s.counts for s in scores]))


def score_streams(
    plan: Plan,
    streams: Sequence[np.ndarray],
    cores: int,
    finished: Finished | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Score:
    """Independent texts, each from the empty state on a core of its own.

    What `finished` holds already is not run again. Raises UserError as `Simulator.run` does.
    """
    done = dict(finished.scores) if finished else {}
    progress(sum(len(streams[k]) for k in done))
    free: SimpleQueue[Simulator] = SimpleQueue()
    for _ in range(cores):
        free.put(Simulator(plan, threads=1))

    given_up = Event()

    def advance(tokens: int) -> None:
        if given_up.is_set():  # an interrupt or another stream's error: the others are not to be waited for
            raise RuntimeError("another stream failed")
        progress(tokens)

    def one(tokens: np.ndarray) -> Score:
        simulator = free.get()
        try:
            simulator.reset()
            return score(simulator, tokens, advance)
        finally:
            free.put(simulator)

    with ThreadPoolExecutor(cores) as pool:
        waiting = {pool.submit(one, tokens): k for k, tokens in enumerate(streams) if k not in done}
        try:
            for future in as_completed(waiting):
                done[waiting[future]] = future.result()
                if finished:
                    finished.add(waiting[future], future.result())
        finally:
            given_up.set()
            pool.shutdown(cancel_futures=True)
    return combine([done[k] for k in range(len(streams))])
