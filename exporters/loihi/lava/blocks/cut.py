"""Cuts an integer plan into stages, one a block of the model, and finds the signals that cross each cut."""

import re
from dataclasses import dataclass

import numpy as np

from hw_sim.plan import FIELDS, Op, Plan


@dataclass(frozen=True)
class Stage:
    """Rows of the plan that run together; `receive` and `carry` index the signals that come in and go on."""

    label: str
    rows: np.ndarray
    receive: np.ndarray
    carry: np.ndarray


def cut(plan: Plan) -> tuple[Stage, ...]:
    """Embedding, then each block, then the head; at least two stages."""
    places = np.array([_place(name) for name in plan.names])
    blocks = sorted({p for p in places if p < _HEAD})
    places = np.where(places == _HEAD, len(blocks), np.searchsorted(blocks, places))
    written, read = _touched(plan)
    crossing = []
    for k in range(len(blocks)):
        before, after = written[places <= k].any(axis=0), read[places > k].any(axis=0)
        # A later stage that writes a signal before it reads it needs nothing from the cut.
        own = _written_first(plan, places > k, written, read)
        crossing.append(np.flatnonzero(before & after & ~own))
    none = np.zeros(0, np.int64)
    labels = ["embedding", *(f"block{b - 1}" for b in blocks[1:]), "head"]
    return tuple(
        Stage(
            labels[k],
            np.flatnonzero(places == k),
            crossing[k - 1] if k else none,
            crossing[k] if k < len(blocks) else none,
        )
        for k in range(len(blocks) + 1)
    )


_HEAD = 1 << 30


def _place(name: str) -> int:
    block = re.match(r"block(\d+)_", name)
    if block:
        return int(block.group(1)) + 1
    return 0 if name == "embedding" else _HEAD


def _touched(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Which signals every row writes and reads, (rows, n_signals) bool each."""
    shape = (len(plan.table), plan.n_signals)
    written, read = np.zeros(shape, bool), np.zeros(shape, bool)
    for i, row in enumerate(plan.table):
        op, x, y, n_in, n_out = (int(v) for v in row[: FIELDS.index("n_out") + 1])
        if op not in (Op.EMBED, Op.DELAY_READ):
            read[i, x : x + n_in] = True
        if op not in (Op.DELAY_WRITE, Op.OUTPUT):
            written[i, y : y + n_out] = True
        if op in (Op.ADD, Op.MULTIPLY, Op.WKV):
            z = int(row[FIELDS.index("z")])
            read[i, z : z + n_out] = True
    return written, read


def _written_first(plan: Plan, rows: np.ndarray, written: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Signals that these rows write before they read them, (n_signals,) bool."""
    first, seen = np.zeros(plan.n_signals, bool), np.zeros(plan.n_signals, bool)
    for i in np.flatnonzero(rows):
        seen |= read[i]
        first |= written[i] & ~seen
        seen |= written[i]
    return first
