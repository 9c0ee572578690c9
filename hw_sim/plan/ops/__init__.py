"""Every operation of a plan, once: what it reads and keeps, what it costs, its step in integers and floats, its reach.

Whatever runs, counts, cuts or lowers a plan asks `OPERATIONS`; only the compiled loops have a branch of their own for
each, and `tests/test_ops.py` holds them against the steps here. Needs numpy alone.
"""

from collections.abc import Iterator

from hw_sim.plan.ops import matrices, spatial, stateful, stateless  # noqa: F401  (they define the operations)
from hw_sim.plan.ops.operation import Given, Op, Operation, Row

__all__ = ["OPERATIONS", "Given", "Op", "Operation", "Row"]


def _kinds(parent: type[Operation]) -> Iterator[type[Operation]]:
    for kind in parent.__subclasses__():
        yield kind
        yield from _kinds(kind)


OPERATIONS: dict[Op, Operation] = {kind.op: kind() for kind in sorted(_kinds(Operation), key=lambda kind: kind.op)}
