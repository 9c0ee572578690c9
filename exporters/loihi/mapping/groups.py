"""What of a plan goes on the chip: groups of neurons, each with the synapses that end in it.

A spike-fed matrix accumulates in the LIF that reads its sum at once, else in graded custom neurons of its own; a LIF
without such a matrix has no synapses. Element-wise work (LayerNorm, token shift, WKV, gates, residual) is taken to run
in the microcode of these neurons. Embedding, head and every matrix that reads real numbers stay off the chip.
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
    n_in, n_out, w, e = (plan.field(name) for name in ("n_in", "n_out", "w", "e"))
    behind = {int(i): lif_behind(plan, int(i)) for i in plan.rows(Op.EVENTS)}
    taken = set(behind.values())
    found: list[Group] = []
    spiking: dict[int, int] = {}  # start of a population's event list -> its group
    for i, name in enumerate(plan.names):
        if plan.table[i, 0] == Op.EVENTS:
            lif = behind[i]
            size = int(n_in[i] * n_out[i])
            weights = plan.weights[w[i] : w[i] + size].reshape(n_in[i], n_out[i])
            population = None if lif is None else plan.names[lif]
            found.append(Group(population or name, population, spiking[int(e[i])], weights))
            if lif is not None:
                spiking[int(e[lif])] = len(found) - 1
        elif plan.table[i, 0] == Op.LIF and i not in taken:
            spiking[int(e[i])] = len(found)
            found.append(Group(name, name, -1, np.zeros((0, n_out[i]), np.int8)))
    return tuple(found)


def lif_behind(plan: Plan, i: int) -> int | None:
    """The row of the LIF that reads what row i leaves at its y, before another row takes the place."""
    y = int(plan.field("y")[i])
    for k in range(i + 1, len(plan.table)):
        op, x, new = (int(v) for v in plan.table[k, :3])
        if op == Op.LIF and x == y:
            return k
        if new == y and op not in (Op.DELAY_WRITE, Op.OUTPUT):
            return None
    return None


def off_chip(plan: Plan) -> tuple[str, ...]:
    """The matrices that no spikes feed."""
    return tuple(plan.names[i] for i, op in enumerate(plan.field("op")) if op in (Op.EMBED, Op.DENSE, Op.SPARSE))


def weight_bits(plan: Plan) -> int:
    """Bits of the smallest symmetric integers that hold every weight on the chip: 8 for -127 to 127, 2 for -1 to 1."""
    largest = [int(np.abs(g.weights.astype(np.int16)).max(initial=1)) for g in groups_of(plan)]
    return max(largest, default=1).bit_length() + 1
