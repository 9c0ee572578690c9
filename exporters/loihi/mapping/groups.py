"""What of a plan goes on the chip: groups of neurons, each with the synapses that end in it.

A spike-fed matrix accumulates in the LIF that reads its sum at once, else in graded custom neurons of its own; a LIF
without such a matrix has no synapses. Element-wise work (LayerNorm, token shift, WKV, gates, residual) is taken to run
in the microcode of these neurons. The embedding and every matrix that reads real numbers, be it the head, stay off the
chip.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hw_sim.plan import Op, Plan


@dataclass(frozen=True, eq=False)
class Group:
    """Neurons of one kind; `weights` (n_in, neurons) int8 come from `source`, the index of a group that spikes.

    `population` is the LIF's name, None for graded neurons. A group without synapses has n_in = 0 and source -1.
    """

    name: str
    population: str | None
    source: int
    weights: np.ndarray

    @property
    def fan_in(self) -> int:
        return self.weights.shape[0]

    @property
    def neurons(self) -> int:
        return self.weights.shape[1]

    @cached_property
    def synapses(self) -> np.ndarray:
        """Weights that are not zero, by neuron: (neurons,) int64."""
        return np.count_nonzero(self.weights, axis=0)


def groups_of(plan: Plan) -> tuple[Group, ...]:
    """The groups of an integer plan in dataflow order: a group comes before those that read its spikes."""
    listening = {i: plan.driven(i) for i in plan.matrices if plan.operation(i).listens}
    behind = {population.row for population in listening.values() if population}
    found: list[Group] = []
    spiking: dict[str, int] = {}  # population -> its group
    for i, name in enumerate(plan.names):
        if i in listening:
            lif = listening[i]
            population = lif.name if lif else None
            found.append(Group(population or name, population, spiking[plan.listened(i).name], plan.matrix(i)))
            if population:
                spiking[population] = len(found) - 1
        elif plan.operation(i).fires and i not in behind:
            spiking[name] = len(found)
            found.append(Group(name, name, -1, np.zeros((0, plan.row(i).n_out), np.int8)))
    return tuple(found)


def off_chip(plan: Plan) -> tuple[str, ...]:
    """The matrices that no spikes feed."""
    rows = [*plan.rows(Op.EMBED), *(i for i in plan.matrices if not plan.operation(i).listens)]
    return tuple(plan.names[i] for i in sorted(rows))


def weight_bits(plan: Plan) -> int:
    """Bits of the smallest symmetric integers that hold every weight on the chip (where there is none: of the plan): 8
    for -127 to 127, 2 for -1 to 1."""
    weights = [g.weights for g in groups_of(plan) if g.weights.size] or [plan.weights]
    largest = [int(np.abs(w.astype(np.int16)).max(initial=1)) for w in weights]
    return max(largest, default=1).bit_length() + 1
