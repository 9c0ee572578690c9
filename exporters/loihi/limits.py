"""Whether an integer plan fits a chip's number formats, and how many cores and chips it takes at the least."""

from dataclasses import dataclass
from importlib import resources
from math import ceil

import yaml

from hw_sim import fixed_point as fp
from hw_sim.bounds import largest_sums
from hw_sim.plan import Op, Plan
from spikegpt.errors import UserError

CHIPS = ("loihi1", "loihi2")


@dataclass(frozen=True)
class Chip:
    """Limits of one chip, from its data file."""

    name: str
    source: str
    cores: int
    neurons_per_core: int
    synapse_bytes_per_core: int
    weight_bits: int


def load_chip(name: str) -> Chip:
    return Chip(**yaml.safe_load(resources.files("exporters.loihi").joinpath(f"chips/{name}.yaml").read_text()))


def check_numbers(plan: Plan) -> dict:
    """Worst cases that the weights allow: membrane input against its field, for every LIF behind a matrix.

    Raises UserError naming the matrix whose sum of inputs can exceed the 24-bit membrane.
    """
    worst = 0
    for i, bound in largest_sums(plan).items():
        if _read_by_lif(plan, i, int(plan.field("y")[i])):
            worst = max(worst, bound)
            if bound > fp.INPUT_LIMIT:
                raise UserError(
                    f"node {plan.names[i]!r}: its sum can reach {bound}, more than the {fp.INPUT_LIMIT} that a 24-bit "
                    f"membrane takes; use fewer inputs or smaller weights"
                )
    return {"largest_possible_input": worst, "input_limit": fp.INPUT_LIMIT}


def _read_by_lif(plan: Plan, i: int, y: int) -> bool:
    """Whether a LIF reads what row i leaves at signal y, before another row takes the place."""
    for op, x, new in plan.table[i + 1 :, :3]:
        if op == Op.LIF and x == y:
            return True
        if new == y and op not in (Op.DELAY_WRITE, Op.OUTPUT):
            return False
    return False


def footprint(plan: Plan, chip: Chip) -> dict:
    """Cores and chips that synapses and neurons need at the least; axons and placement are not considered."""
    body = plan.rows(Op.EVENTS)
    synapses = sum(int(plan.table[i, 3] * plan.table[i, 4]) for i in body)
    neurons = int(sum(plan.table[i, 4] for i in plan.rows(Op.LIF)))
    cores = max(ceil(synapses / chip.synapse_bytes_per_core), ceil(neurons / chip.neurons_per_core))
    return {
        "chip": chip.name,
        "source": chip.source,
        "estimate": "lower bound: 8-bit synapses and LIF neurons only",
        "spike_fed_synapses": synapses,
        "neurons": neurons,
        "cores_at_least": cores,
        "chips_at_least": ceil(cores / chip.cores),
    }
