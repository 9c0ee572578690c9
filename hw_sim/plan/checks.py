"""What a plan must fulfil before it runs: no field can overflow, no parameter is infinite or not a number."""

import numpy as np

from hw_sim.plan.fixed_point import INPUT_LIMIT
from hw_sim.plan.plan import Plan
from spikegpt.errors import UserError

ACCUMULATOR = (1 << 31) - 1
PART = 1 << 20  # values looked at together, to bound memory


def largest_sums(plan: Plan) -> dict[int, int]:
    """The largest magnitude that each spike-fed matrix can sum to, by row of the table: any inputs may be active."""
    return {i: plan.operation(i).reach(plan.given(i)) for i in plan.matrices if plan.operation(i).listens}


def check_accumulators(plan: Plan) -> None:
    """Raises UserError naming the matrix whose sum can exceed the 32-bit accumulator."""
    for i, largest in largest_sums(plan).items():
        if largest > ACCUMULATOR:
            raise UserError(
                f"node {plan.names[i]!r}: its sum can reach {largest}, more than the {ACCUMULATOR} of a 32-bit "
                f"accumulator; use fewer inputs or smaller weights"
            )


def check_membranes(plan: Plan) -> dict:
    """Worst cases that the weights allow: membrane input against its field, for every population behind a matrix.

    Raises UserError naming the matrix whose sum of inputs can exceed the 24-bit membrane.
    """
    worst = 0
    for i, bound in largest_sums(plan).items():
        if plan.driven(i) is not None:
            worst = max(worst, bound)
            if bound > INPUT_LIMIT:
                raise UserError(
                    f"node {plan.names[i]!r}: its sum can reach {bound}, more than the {INPUT_LIMIT} that a 24-bit "
                    f"membrane takes; use fewer inputs or smaller weights"
                )
    return {"largest_possible_input": worst, "input_limit": INPUT_LIMIT}


def check_finite(plan: Plan) -> None:
    """Raises UserError naming the node of a float plan one of whose weights or parameters is not finite."""
    rows = range(len(plan.table))
    weights = {plan.row(i).w: i for i in plan.matrices}
    constants = {plan.row(i).c: i for i in rows if plan.operation(i).parameters(plan.row(i), plan.integer)}
    for starts, values in ((weights, plan.weights), (constants, plan.constants)):
        for low in range(0, len(values), PART):
            finite = np.isfinite(values[low : low + PART])
            if not finite.all():
                at = low + int(np.argmin(finite))
                name = plan.names[starts[max(start for start in starts if start <= at)]]
                raise UserError(f"node {name!r}: one of its weights or parameters is {values[at]}, not a finite number")
