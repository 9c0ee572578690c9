"""The vectors of an integer plan: who reads them, across tokens too, in which order they arise, how large they can be.

Lava's ports hold 32 bits and wrap without a word, so a standard process is used only where no input can reach that.
"""

from graphlib import CycleError, TopologicalSorter

from exporters.loihi.lava.watch import SIGNAL_LIMIT
from hw_sim.plan import Op, Plan
from spikegpt.errors import UserError


def sources(plan: Plan) -> list[tuple[int, ...]]:
    """The rows whose vectors each row reads, x before z; a DELAY_READ reads what its DELAY_WRITE stores.

    A COPY stands for the row it copies. Raises UserError naming the row that reads part of a vector, or of several.
    """
    found: list[tuple[int, ...]] = []
    for i, operands in enumerate(plan.reads):
        whole = []
        for rows, (low, high) in zip(operands, plan.read_by(i), strict=True):
            made = plan.row(rows[0])
            if len(rows) > 1 or rows[0] < 0 or (made.y, made.n_out) != (low, high - low):
                raise UserError(f"node {plan.names[i]!r} reads parts of vectors: there is no standard process for that")
            whole.append(found[rows[0]][0] if made.op == Op.COPY else rows[0])
        found.append(tuple(whole))
    stored = {plan.row(i).s: found[i] for i in plan.rows(Op.DELAY_WRITE)}
    for i in plan.rows(Op.DELAY_READ):
        found[i] = stored[plan.row(i).s]
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


def ranges(plan: Plan, reads: list[tuple[int, ...]], order: list[int]) -> dict[int, int]:
    """The largest magnitude of each row's vector, by row; `reads` and `order` as above.

    A process of our own stops the run where its output exceeds SIGNAL_LIMIT, so no input is larger. A matrix and a sum
    are given in full: a Dense and a port check nothing.
    """
    found: dict[int, int] = {}
    for i in order:
        found[i] = plan.operation(i).reach(plan.given(i), *(min(found[k], SIGNAL_LIMIT) for k in reads[i]))
    return found
