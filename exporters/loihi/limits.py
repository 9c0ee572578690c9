"""Whether an integer plan fits the chip's number formats whatever its inputs are."""

from exporters.loihi.mapping.groups import lif_behind
from hw_sim.plan import Plan
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.checks import largest_sums
from spikegpt.errors import UserError


def check_numbers(plan: Plan) -> dict:
    """Worst cases that the weights allow: membrane input against its field, for every LIF behind a matrix.

    Raises UserError naming the matrix whose sum of inputs can exceed the 24-bit membrane.
    """
    worst = 0
    for i, bound in largest_sums(plan).items():
        if lif_behind(plan, i) is not None:
            worst = max(worst, bound)
            if bound > fp.INPUT_LIMIT:
                raise UserError(
                    f"node {plan.names[i]!r}: its sum can reach {bound}, more than the {fp.INPUT_LIMIT} that a 24-bit "
                    f"membrane takes; use fewer inputs or smaller weights"
                )
    return {"largest_possible_input": worst, "input_limit": fp.INPUT_LIMIT}
