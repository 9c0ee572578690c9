"""One stream on several cores: each runs a stretch of the table, a token behind the one before it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hw_sim.plan import Op, Plan
from hw_sim.run.loop_float32 import run_float
from hw_sim.run.loop_int8 import run_integer
from hw_sim.run.mailbox import BOX, STRIDE

ACTIVE = 0.12  # share of the inputs of a spike-fed matrix assumed active before it is measured
ELEMENT = 12  # synapses whose time an element-wise operation takes
GATHER = 10_000  # synapses whose time it takes to begin a sum of rows


@dataclass(frozen=True)
class Stage:
    """Rows `low` to `high` of a table; `incoming` (n, 2) are the signals it needs, pairs of start and length."""

    low: int
    high: int
    incoming: np.ndarray


def divide(plan: Plan, size: int, active: np.ndarray | None = None) -> tuple[Stage, ...]:
    """Cut the table into `size` stages of about equal work, or fewer: where few signals, no event list or loop cross.

    `active` (rows,) are inputs active a token, as measured.
    """
    nothing, n_rows = np.zeros((0, 2), np.int64), len(plan.table)
    cuts: list[int] = []
    if size > 1:
        widths = {i: int(need.sum()) for i, need, crossed in _needs(plan) if i and need.any() and not crossed}
        narrow = [i for i, width in widths.items() if width == min(widths.values())]
        work = np.cumsum([_work(plan, i, None if active is None else active[i]) for i in range(n_rows)])
        shares = work[-1] * np.arange(1, size) / size if narrow else []
        cuts = sorted({narrow[int(np.argmin(np.abs(work[np.array(narrow) - 1] - share)))] for share in shares})
    incoming = {i: _spans(need) for i, need, _ in _needs(plan) if i in cuts} if cuts else {}
    edges = [0, *cuts, n_rows]
    return tuple(Stage(low, high, incoming.get(low, nothing)) for low, high in pairwise(edges))


def _needs(plan: Plan) -> Iterator[tuple[int, np.ndarray, bool]]:
    """From the last row to the first: the row, which signals (n_signals,) bool are read from there on before they are
    written, and whether so is a list of events, or a Delay is written there that was read before: its next token's
    value must not be fetched by a stage that runs ahead."""
    need, lists, states = np.zeros(plan.n_signals, bool), set(), set()
    for i in range(len(plan.table) - 1, -1, -1):
        row, operation = plan.row(i), plan.operation(i)
        if operation.writes:
            need[row.y : row.y + row.n_out] = False
        if operation.listens:
            lists.add(row.e)
        else:
            for low, high in plan.read_by(i):
                need[low:high] = True
        if operation.fires:
            lists.discard(row.e)
        if operation.state_written:
            states.add(row.s)
        if operation.state_read:
            states.discard(row.s)
        yield i, need, bool(lists or states)


def _work(plan: Plan, i: int, active: float | None) -> float:
    """Estimated time of a row, in synapses."""
    row, operation = plan.row(i), plan.operation(i)
    if operation.listens:
        return float(row.n_out) * (ACTIVE * row.n_in if active is None else active) + GATHER
    return float(row.n_in * row.n_out) if operation.matrix else float(row.n_out * ELEMENT)


def _spans(need: np.ndarray) -> np.ndarray:
    """Runs of True as (start, length)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], need.astype(np.int8), [0]])))
    return np.stack([edges[::2], edges[1::2] - edges[::2]], axis=1).astype(np.int64)


class Pipeline:
    """The buffers and threads of one stream; nothing in them outlasts a token."""

    def __init__(self, plan: Plan, threads: int):
        self.plan, self.threads = plan, threads
        self.events, self.lengths = np.zeros(plan.n_events, np.int32), np.zeros(plan.n_events + 1, np.int64)
        self.pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None
        self.divide()

    def divide(self, active: np.ndarray | None = None) -> None:
        """Share out the work anew, by the inputs (rows,) that were active a token."""
        plan = self.plan
        number = np.int64 if plan.integer else np.float32
        self.stages = divide(plan, self.threads, active)
        self.signals = [np.zeros(plan.n_signals, number) for _ in self.stages]
        self.boxes = [np.zeros((BOX, int(stage.incoming[:, 1].sum())), number) for stage in self.stages]

    def run(
        self, state: np.ndarray, tokens: np.ndarray, logits: np.ndarray, fired: np.ndarray, raster: np.ndarray
    ) -> np.ndarray:
        """Feed tokens (T,); advances `state`, fills `logits` (T, V) and `raster` (T or 0, n_events), adds to `fired`.

        Returns counters (rows, 2) int64: active inputs or driven neurons, and of neurons the numbers found not to be
        finite, of kernels the operations that were done.
        """
        plan, stages = self.plan, self.stages
        if self.pool is None or len(stages) == 1 or tokens.size == 1:
            return run_rows(plan, range(len(plan.table)), state, self.signals[0], self.events, self.lengths, tokens,
                            logits, fired, raster)  # fmt: skip
        counters, done = np.zeros((len(plan.table), 2), np.int64), np.zeros(len(stages) * STRIDE, np.int64)
        run = run_integer if plan.integer else run_float
        nothing, no_box = np.zeros((0, 2), np.int64), self.boxes[0]

        def work(k: int) -> None:
            rows, last = slice(stages[k].low, stages[k].high), k + 1 == len(stages)
            outgoing, outbox = (nothing, no_box) if last else (stages[k + 1].incoming, self.boxes[k + 1])
            run(plan.table[rows], plan.weights, plan.constants, state, self.signals[k], self.events, self.lengths,
                tokens, logits, counters[rows], fired, raster, k, done, stages[k].incoming, self.boxes[k],
                outgoing, outbox, sums_of(plan))  # fmt: skip

        pool = self.pool
        others = [pool.submit(work, k) for k in range(1, len(stages))]
        work(0)
        for other in others:
            other.result()
        return counters


def run_rows(
    plan: Plan, rows: Sequence[int], state: np.ndarray, signals: np.ndarray, events: np.ndarray, lengths: np.ndarray,
    tokens: np.ndarray, logits: np.ndarray, fired: np.ndarray, raster: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Feed tokens through these rows alone, in this thread; returns counters (rows, 2)."""
    table = plan.table[rows[0] : rows[-1] + 1]
    counters, nothing = np.zeros((len(table), 2), np.int64), np.zeros((0, 2), np.int64)
    no_box = np.zeros((BOX, 0), signals.dtype)
    run = run_integer if plan.integer else run_float
    run(table, plan.weights, plan.constants, state, signals, events, lengths, tokens, logits, counters, fired, raster,
        0, np.zeros(STRIDE, np.int64), nothing, no_box, nothing, no_box, sums_of(plan))  # fmt: skip
    return counters


def sums_of(plan: Plan) -> np.ndarray | None:
    """Scratch of the plan's windows: all outputs of the largest; None where it has none."""
    windows = [i for op in (Op.CONV_EVENTS, Op.CONV, Op.POOL) for i in plan.rows(op)]
    if not windows:
        return None
    return np.zeros(int(plan.field("n_out")[windows].max()), np.int64 if plan.integer else np.float32)
