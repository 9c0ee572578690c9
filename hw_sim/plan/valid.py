"""Whether a stored plan may be run: every row is a known operation whose places lie inside the plan's buffers."""

from math import prod

import numpy as np

from hw_sim.plan.ops import OPERATIONS, Op, Row
from hw_sim.plan.ops.spatial import Geometry
from hw_sim.plan.plan import FIELDS, Plan
from spikegpt.errors import UserError

MOST = 1 << 24  # signals and neurons: memory is asked for by their numbers alone
SHIFT = 62  # bits


def check_rows(plan: Plan) -> None:
    """Raise UserError naming the first row that would read or write beyond a buffer, or means nothing."""
    wide = plan.table.ndim == 2 and plan.table.shape[1:] == (len(FIELDS),) and len(plan.table)
    kinds = (np.int64, np.int8, np.int32, np.int64) if plan.integer else (np.int64, *3 * [np.float32])
    held = (plan.table, plan.weights, plan.constants, plan.state)
    if not wide or len(plan.names) != len(plan.table) or any(b.ndim != 1 for b in held[1:]):
        raise UserError("its table, names and buffers do not belong together")
    if any(array.dtype != kind for array, kind in zip(held, kinds, strict=True)):
        raise UserError(f"its numbers are of the types {', '.join(str(a.dtype) for a in held)}")
    if not 0 < plan.n_signals <= MOST or not 0 <= plan.n_events <= MOST:
        raise UserError(f"{plan.n_signals} signals and {plan.n_events} neurons; at most {MOST:,} can be run")
    ops = plan.table[:, 0].tolist()
    if ops.count(Op.OUTPUT) != 1 or Op.EMBED not in ops:
        raise UserError("it needs one output and a table of tokens")
    rows = [Row(*values) for values in plan.table.tolist()]
    populations = {(row.e, row.n_out) for row in rows if row.op in OPERATIONS and OPERATIONS[Op(row.op)].fires}
    for name, row in zip(plan.names, rows, strict=True):
        if not _fits(plan, row, populations):
            raise UserError(f"the row of node {name!r} names an unknown operation or places outside the buffers")


def _fits(plan: Plan, row: Row, populations: set[tuple[int, int]]) -> bool:
    if row.op not in OPERATIONS or min(row.n_in, row.n_out) < 1 or not 0 <= row.shift <= SHIFT:
        return False
    operation, looks_up = OPERATIONS[Op(row.op)], row.op == Op.EMBED
    if plan.integer and not operation.whole:
        return False
    if not operation.matrix and not operation.kernel and not looks_up and row.n_in != row.n_out:
        return False
    if (looks_up and row.n_in != plan.n_vocab) or (operation.listens and (row.e, row.n_in) not in populations):
        return False
    constants = sum(prod(shape) for shape in operation.parameters(row, plan.integer))
    if row.c < 0 or row.c + constants > len(plan.constants):
        return False
    if operation.kernel and not _window(Geometry.of(plan.constants[row.c :]), row):
        return False
    if row.op == Op.DELAY_READ and row.shift > 1:
        steps = plan.constants[row.c : row.c + row.n_out]
        if not ((steps >= 1) & (steps <= row.shift)).all():
            return False
    places = (
        (row.x, row.n_in if "x" in operation.reads else 0, plan.n_signals),
        (row.z, row.n_out if "z" in operation.reads else 0, plan.n_signals),
        (row.y, row.n_out if operation.writes else 0, plan.n_signals),
        (row.w, operation.weights(row, plan.constants), len(plan.weights)),
        (row.s, operation.vectors(row) * row.n_out, len(plan.state)),
        (row.e, row.n_out if operation.fires else 0, plan.n_events),
    )
    return all(at >= 0 and (not size or at + size <= room) for at, size, room in places)


def _window(g: Geometry, row: Row) -> bool:
    """Whether a window fits its row and reads no weight and no place that is not there."""
    least = min(g[:10]) >= 1 and min(g.padding_y, g.padding_x) >= 0 and min(g.dilation_y, g.dilation_x, g.groups) >= 1
    if not least or max(g) > MOST or g.channels % g.groups or g.out_channels % g.groups:
        return False
    return g.n_in == row.n_in and g.n_out == row.n_out
