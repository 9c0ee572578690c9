"""Cores and chips of a spike-driven SpikeGPT from its shape alone, where there are no weights to place.

As the mapping fills cores: matrix after matrix, a neuron with all its synapses on one core, dense. Axons and crossings
are not looked at, so it is a lower bound for matrices that are not pruned.
"""

from dataclasses import dataclass

from exporters.loihi.mapping.chip import Chip

# (fan-in, fan-out) in units of the width, and whether the sums end in the LIF of the next matrix
MATRICES = ((1, 1), (1, 1), (1, 1), (1, 1), (1, 4), (4, 1), (1, 1))
LONE_LIFS = 6  # populations of a width without synapses: the inputs of all matrices but the second of channel mixing


@dataclass(frozen=True)
class Estimate:
    """At least so many cores and chips, for all synapses and neurons of the body."""

    cores: int
    chips: int
    synapses: int
    neurons: int


def estimate(n_layer: int, d: int, chip: Chip, bits: int = 8) -> Estimate | None:
    """What the body of this shape takes with synapses of `bits`; None where one neuron's do not fit a core."""
    cores, bytes_left, room = 0, 0, 0
    lone = n_layer * LONE_LIFS * d
    for fan_in, fan_out in MATRICES * n_layer:
        left = fan_out * d
        while left:
            k = min(left, room, bytes_left * 8 // (fan_in * d * bits))
            if k:
                left, room, bytes_left = left - k, room - k, bytes_left - -(-k * fan_in * d * bits // 8)
            else:
                if 8 * chip.synapse_bytes_per_core < fan_in * d * bits:
                    return None
                cores, room, bytes_left = cores + 1, chip.neurons_per_core, chip.synapse_bytes_per_core
    synapses = n_layer * sum(a * b for a, b in MATRICES) * d * d
    neurons = n_layer * sum(b for _, b in MATRICES) * d + lone
    cores = max(cores, -(-neurons // chip.neurons_per_core))
    return Estimate(cores, -(-cores // chip.cores), synapses, neurons)
