"""What a plan must fulfil before it runs: no accumulator can overflow, no parameter is infinite or not a number."""

import numpy as np

from hw_sim.plan.plan import Op, Plan
from spikegpt.errors import UserError

ACCUMULATOR = (1 << 31) - 1
PART = 1 << 20  # values looked at together, to bound memory


def largest_sums(plan: Plan) -> dict[int, int]:
    """The largest magnitude that each spike-fed matrix can sum to, by row of the table: any inputs may be active."""
    sums = {}
    for i in plan.rows(Op.EVENTS):
        n_in, n_out, w = (int(plan.field(f)[i]) for f in ("n_in", "n_out", "w"))
        weights = plan.weights[w : w + n_in * n_out].reshape(n_in, n_out)
        up = np.maximum(weights, 0).sum(axis=0, dtype=np.int64)
        down = np.minimum(weights, 0).sum(axis=0, dtype=np.int64)
        sums[int(i)] = int(max(up.max(), -down.min()))
    return sums


def check_accumulators(plan: Plan) -> None:
    """Raises UserError naming the matrix whose sum can exceed the 32-bit accumulator."""
    for i, largest in largest_sums(plan).items():
        if largest > ACCUMULATOR:
            raise UserError(
                f"node {plan.names[i]!r}: its sum can reach {largest}, more than the {ACCUMULATOR} of a 32-bit "
                f"accumulator; use fewer inputs or smaller weights"
            )


def check_finite(plan: Plan) -> None:
    """Raises UserError naming the node of a float plan one of whose weights or parameters is not finite."""
    users = {"w": {Op.EVENTS, Op.DENSE, Op.SPARSE}, "c": {Op.EMBED, Op.SCALE, Op.LAYER_NORM, Op.LIF, Op.WKV}}
    for field, values in (("w", plan.weights), ("c", plan.constants)):
        for low in range(0, len(values), PART):
            finite = np.isfinite(values[low : low + PART])
            if not finite.all():
                at = low + int(np.argmin(finite))
                starts = {int(plan.field(field)[i]): i for op in users[field] for i in plan.rows(op)}
                name = plan.names[starts[max(start for start in starts if start <= at)]]
                raise UserError(f"node {name!r}: one of its weights or parameters is {values[at]}, not a finite number")
