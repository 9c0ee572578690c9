"""Cuts an integer plan into stages, one a block of the model, and finds the signals that cross each cut."""

import re
from dataclasses import dataclass

import numpy as np

from hw_sim.plan import Op, Plan


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
    for write in plan.rows(Op.DELAY_WRITE):  # what it stores is read in a process that has the same state
        read = next(i for i in plan.rows(Op.DELAY_READ) if plan.row(i).s == plan.row(write).s)
        places[read : write + 1] = places[read : write + 1].min()
    places = np.minimum.accumulate(places[::-1])[::-1]  # a row stays before those that follow it
    crossed = np.zeros((len(blocks), plan.n_signals), bool)
    for i, operands in enumerate(plan.reads):
        for rows, (low, high) in zip(operands, plan.read_by(i), strict=True):
            for made, k in ((plan.row(k), k) for k in rows):
                crossed[places[k] : places[i], max(low, made.y) : min(high, made.y + made.n_out)] = True
    crossing = [np.flatnonzero(signals) for signals in crossed]
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
