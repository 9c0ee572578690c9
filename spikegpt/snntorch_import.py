"""LIF neurons trained in snnTorch, taken over where they are the published neuron.

snntorch.Leaky computes u = beta * v + x and our LIF u = v + (x - v) / tau. With beta = 1 - 1 / tau the two are one
neuron if snnTorch's reads x / tau, resets to zero within the same step, and fires at u >= threshold: Leaky fires
strictly above its own, so ours is the next number up.
"""

from dataclasses import dataclass

import numpy as np
import snntorch

from spikegpt.errors import UserError


@dataclass(frozen=True)
class ImportedLif:
    """`kernels.lif(input_scale * x, v, tau, threshold)` has the spikes of the snnTorch neuron fed x."""

    tau: float  # time steps
    threshold: float
    input_scale: float


def from_snntorch(neuron: snntorch.Leaky) -> ImportedLif:
    """The same neuron in our terms.

    Raises UserError, naming the property, for one that ours cannot be: another reset, a reset one step late, lateral
    inhibition, quantised state, graded spikes, or a beta or threshold of its own for every channel.
    """
    refused = {
        "reset_mechanism": (neuron.reset_mechanism, "zero"),
        "reset_delay": (bool(neuron.reset_delay), False),
        "inhibition": (bool(neuron.inhibition), False),
        "state_quant": (bool(neuron.state_quant), False),
        "graded_spikes_factor": (float(neuron.graded_spikes_factor), 1.0),
    }
    for name, (found, needed) in refused.items():
        if found != needed:
            raise UserError(f"snntorch.Leaky with {name} = {found!r} is another neuron; it must be {needed!r}")
    if neuron.beta.numel() != 1 or neuron.threshold.numel() != 1:
        raise UserError("snntorch.Leaky with a beta or threshold for every channel: a population has one of each here")
    beta = float(neuron.beta.clamp(0, 1))  # Leaky clamps it too
    if beta == 1:
        raise UserError("snntorch.Leaky with beta = 1 never leaks: its time constant is infinite")
    tau = 1 / (1 - beta)
    above = np.nextafter(np.float32(neuron.threshold.item()), np.float32(np.inf))
    return ImportedLif(tau, float(above), tau)
