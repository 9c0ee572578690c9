"""Which row of an integer plan reads which: rows share signal memory, so the last writer of each signal is followed."""

from graphlib import CycleError, TopologicalSorter

import numpy as np

from hw_sim.plan import FIELDS, Op, Plan
from spikegpt.errors import UserError

READS_NOTHING = (Op.EMBED, Op.DELAY_READ)
READS_TWO = (Op.ADD, Op.WKV, Op.MULTIPLY)
WRITES_NOTHING = (Op.DELAY_WRITE, Op.OUTPUT)


def sources(plan: Plan) -> list[tuple[int, ...]]:
    """The rows whose vectors each row reads, x before z; a DELAY_READ reads what its DELAY_WRITE stores.

    A COPY stands for the row it copies. Raises UserError naming the row that reads part of a vector, or of several.
    """
    found: list[tuple[int, ...]] = []
    owner = np.full(plan.n_signals, -1)
    start: dict[int, int] = {}
    stored: dict[int, int] = {}  # offset in the state -> row whose vector is delayed

    def whole(i: int, at: int, n: int) -> int:
        rows = set(owner[at : at + n].tolist())
        (row, *others) = rows
        if others or row < 0 or start[row] != at or width(plan, row) != n:
            raise UserError(f"node {plan.names[i]!r} reads parts of vectors, for which there is no standard process")
        return found[row][0] if plan.table[row, 0] == Op.COPY else row

    for i, row in enumerate(plan.table.tolist()):
        field = dict(zip(FIELDS, row, strict=True))
        op, n_out = field["op"], field["n_out"]
        reads: tuple[int, ...] = ()
        if op not in READS_NOTHING:
            reads = (whole(i, field["x"], field["n_in"]),)
        if op in READS_TWO:
            reads = (*reads, whole(i, field["z"], n_out))
        if op == Op.DELAY_WRITE:
            (stored[field["s"]],) = reads
        if op not in WRITES_NOTHING:
            owner[field["y"] : field["y"] + n_out] = i
            start[i] = field["y"]
        found.append(reads)
    for i in plan.rows(Op.DELAY_READ):
        found[i] = (stored[int(plan.field("s")[i])],)
    return found


def order(plan: Plan, reads: list[tuple[int, ...]]) -> list[int]:
    """Rows in an order in which each follows what it reads, delayed vectors included.

    Raises UserError naming a row that reads its own past: a chain of processes with latency cannot close such a loop.
    """
    try:
        return list(TopologicalSorter(dict(enumerate(reads))).static_order())
    except CycleError as error:
        name = plan.names[error.args[1][0]]
        raise UserError(f"node {name!r} feeds back to itself within one token, which the latency forbids") from error


def width(plan: Plan, row: int) -> int:
    """Values in the vector that a row writes."""
    return int(plan.field("n_out")[row])
