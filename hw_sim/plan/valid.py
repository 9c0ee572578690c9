"""Whether a stored plan may be run: every row is a known operation whose places lie inside the plan's buffers."""

import numpy as np

from hw_sim.plan.memory import READS_X, READS_Z, WRITES_Y
from hw_sim.plan.plan import FIELDS, Op, Plan
from spikegpt.errors import UserError

MATRICES = {Op.EVENTS, Op.DENSE, Op.SPARSE}
STATE = {Op.DELAY_READ: 1, Op.DELAY_WRITE: 1, Op.LIF: 1, Op.WKV: 3}  # vectors of n_out
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
    populations = {
        (row[FIELDS.index("e")], row[FIELDS.index("n_out")]) for row in plan.table.tolist() if row[0] == Op.LIF
    }
    for name, values in zip(plan.names, plan.table.tolist(), strict=True):
        if not _fits(plan, dict(zip(FIELDS, values, strict=True)), populations):
            raise UserError(f"the row of node {name!r} names an unknown operation or places outside the buffers")


def _fits(plan: Plan, row: dict[str, int], populations: set[tuple[int, int]]) -> bool:
    op, n_in, n_out = row["op"], row["n_in"], row["n_out"]
    if op not in set(Op) or min(n_in, n_out) < 1 or not 0 <= row["shift"] <= SHIFT:
        return False
    if op not in MATRICES | {Op.EMBED} and n_in != n_out:
        return False
    if (op == Op.EMBED and n_in != plan.n_vocab) or (op == Op.EVENTS and (row["e"], n_in) not in populations):
        return False
    lif = 2 if plan.integer else 5
    constants = {Op.EMBED: n_in * n_out, Op.SCALE: n_out, Op.LAYER_NORM: 2 * n_out + 1, Op.LIF: lif * n_out,
                 Op.WKV: 2 * n_out}  # fmt: skip
    places = (
        ("x", n_in if op in READS_X else 0, plan.n_signals),
        ("z", n_out if op in READS_Z else 0, plan.n_signals),
        ("y", n_out if op in WRITES_Y else 0, plan.n_signals),
        ("w", n_in * n_out if op in MATRICES else 0, len(plan.weights)),
        ("c", constants.get(Op(op), 0), len(plan.constants)),
        ("s", STATE.get(Op(op), 0) * n_out, len(plan.state)),
        ("e", n_out if op == Op.LIF else 0, plan.n_events),
    )
    return all(row[field] >= 0 and (not size or row[field] + size <= room) for field, size, room in places)
