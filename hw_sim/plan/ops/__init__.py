"""Every operation of a plan, once: what it reads and keeps, what it costs, its step in integers and floats, its reach.

Whatever runs, counts, cuts or lowers a plan asks `OPERATIONS`; only the compiled loops have a branch of their own for
each, and `tests/test_ops.py` holds them against the steps here. Needs numpy alone.
"""

from hw_sim.plan.ops.matrices import Dense, Events, Sparse
from hw_sim.plan.ops.operation import Given, Op, Operation, Row
from hw_sim.plan.ops.stateful import DelayRead, DelayWrite, Lif, Wkv
from hw_sim.plan.ops.stateless import Add, Copy, Embed, LayerNorm, Multiply, Output, Scale, Sigmoid, SquaredRelu

__all__ = ["OPERATIONS", "Given", "Op", "Operation", "Row"]

OPERATIONS: dict[Op, Operation] = {
    Op.EMBED: Embed(),
    Op.COPY: Copy(),
    Op.ADD: Add(),
    Op.SCALE: Scale(),
    Op.DELAY_READ: DelayRead(),
    Op.DELAY_WRITE: DelayWrite(),
    Op.LAYER_NORM: LayerNorm(),
    Op.LIF: Lif(),
    Op.EVENTS: Events(),
    Op.DENSE: Dense(),
    Op.WKV: Wkv(),
    Op.SIGMOID: Sigmoid(),
    Op.SQUARED_RELU: SquaredRelu(),
    Op.MULTIPLY: Multiply(),
    Op.OUTPUT: Output(),
    Op.SPARSE: Sparse(),
}
