"""What each kind of node gives its operation: constants and the first state, in floats or as the fixed-point fields.

Every function gets the node's name, the node, and whether the plan is one of integers; it raises UserError, naming the
node, where a value does not fit its field.
"""

from collections.abc import Callable
from math import ceil, log2

import nir
import numpy as np

from hw_sim.graph.extensions import DT, WKV, LayerNorm, Multiply, Offset, Sigmoid, SquaredReLU, memoryless
from hw_sim.plan import Op
from hw_sim.plan import fixed_point as fp
from spikegpt.errors import UserError

Arrays = tuple[np.ndarray, ...]


def lif(name: str, node: nir.LIF, integer: bool, fraction: int) -> tuple[Arrays, bool]:
    """Constants, and whether nothing of a membrane outlasts its token.

    In integers decay and threshold mantissa of Loihi's LIF, whose membrane is tau times NIR's, for inputs with so many
    fraction bits.
    """
    rate, threshold = DT / np.ravel(node.tau), np.ravel(node.v_threshold)
    if not integer and memoryless(node):
        return (threshold,), True
    if not integer:
        return (rate, node.r, node.v_leak, node.v_reset, node.v_threshold), False
    r = np.ravel(node.r)
    if np.any(node.v_reset) or np.any(node.v_leak) or np.any(r <= 0):
        raise UserError(f"node {name!r}: integer LIFs need v_reset = v_leak = 0 and a positive r")
    decay = np.floor(rate * (1 << fp.DECAY_BITS) + 0.5)
    mantissa = np.floor(threshold / (rate * r) * 2.0**fraction)  # of a membrane r times as small
    if np.any(mantissa < 0):
        raise UserError(f"node {name!r}: negative thresholds cannot be held")
    # A threshold beyond the field can only be clipped where no input reaches it without memory.
    if np.any((mantissa > fp.THRESHOLD_LIMIT) & (decay < 1 << fp.DECAY_BITS)):
        raise UserError(
            f"node {name!r}: threshold mantissa {int(mantissa.max())} exceeds {fp.THRESHOLD_LIMIT} (17 bits)"
        )
    return (decay, np.minimum(mantissa, fp.THRESHOLD_LIMIT)), bool(np.all(decay == 1 << fp.DECAY_BITS))


def integrate_and_fire(name: str, node: nir.IF, integer: bool, fraction: int) -> Arrays:
    """Constants; in integers those of a LIF that does not decay."""
    r = np.ravel(node.r) * DT
    if not integer:
        return r, node.v_reset, node.v_threshold
    if np.any(node.v_reset) or np.any(r <= 0):
        raise UserError(f"node {name!r}: integer IFs need v_reset = 0 and a positive r")
    mantissa = np.floor(np.ravel(node.v_threshold) / r * 2.0**fraction)
    if np.any(mantissa < 0) or np.any(mantissa > fp.THRESHOLD_LIMIT):
        span = f"{int(mantissa.min())} to {int(mantissa.max())}"
        raise UserError(f"node {name!r}: threshold mantissas from {span} do not fit {fp.THRESHOLD_LIMIT} (17 bits)")
    return np.zeros(r.size), mantissa


def neuron(name: str, node: nir.NIRNode, integer: bool, fraction: int) -> tuple[Op, Arrays, int]:
    """The operation that fires, its constants and its mark."""
    if isinstance(node, nir.Threshold):
        node = nir.LIF(*(np.full(node.threshold.size, value) for value in (DT, 1.0, 0.0)), node.threshold)
    elif isinstance(node, nir.CubaLIF):
        node = nir.LIF(node.tau_mem, node.r, node.v_leak, node.v_threshold, node.v_reset)
    if isinstance(node, nir.IF):
        return Op.LIF if integer else Op.IF, integrate_and_fire(name, node, integer, fraction), 0
    constants, forgets = lif(name, node, integer, fraction)
    return Op.LIF, constants, int(forgets)


def current(name: str, node: nir.CubaLIF | nir.CubaLI, integer: bool) -> Arrays:
    """The synaptic current as a leaky integrator of its input, w_in times."""
    refuse_integers(name, node, integer)
    return DT / np.ravel(node.tau_syn), node.w_in, np.zeros(node.w_in.size)


def membrane(name: str, node: nir.NIRNode, integer: bool) -> Arrays:
    """The constants of an integrator: r alone where nothing leaks."""
    refuse_integers(name, node, integer)
    if isinstance(node, nir.I):
        return (np.ravel(node.r) * DT,)
    return DT / np.ravel(node.tau if isinstance(node, nir.LI) else node.tau_mem), node.r, node.v_leak


def refuse_integers(name: str, node: nir.NIRNode, integer: bool) -> None:
    """Raises UserError for nodes that float plans alone run."""
    if integer:
        raise UserError(f"node {name!r}: integer plans have no {type(node).__name__}")


def scale(node: nir.Scale, integer: bool, fraction: int) -> tuple[np.ndarray, int]:
    """The factor and its shift, which turn an input with so many fraction bits into a signal."""
    factor = np.ravel(node.scale)
    if not integer:
        return factor, 0
    factor = factor.astype(np.float64) * 2.0 ** (fp.FRACTION_BITS - fraction)
    largest = float(np.max(np.abs(factor))) or 1.0
    shift = max(0, fp.SCALE_BITS - ceil(log2(largest)))
    return np.floor(factor * 2.0**shift + 0.5), shift


def is_bare(node: nir.NIRNode) -> bool:
    """Whether a node is a norm whose weight and bias are ones and zeros."""
    return isinstance(node, LayerNorm) and bool(np.all(node.weight == 1) and not np.any(node.bias))


def layer_norm(name: str, node: LayerNorm, integer: bool) -> tuple[Arrays, Arrays]:
    if not integer:
        return ((node.eps,) if is_bare(node) else (node.weight, node.bias, node.eps)), ()
    if node.weight.size > fp.NORM_WIDTH_LIMIT:
        raise UserError(f"node {name!r}: {node.weight.size} channels, more than {fp.NORM_WIDTH_LIMIT}")
    weight, bias = fp.to_fixed(node.weight, fp.GAIN_BITS), fp.to_fixed(node.bias)
    eps = np.maximum(fp.to_fixed(node.eps, 2 * fp.FRACTION_BITS), 1)
    return ((eps,) if is_bare(node) else (weight, bias, eps)), ()


def wkv(name: str, node: WKV, integer: bool) -> tuple[Arrays, Arrays]:
    start, constants = node.start().astype(np.float64), (node.decay, node.bonus)
    if not integer:
        return constants, (start,)
    start[2] = fp.WKV_START
    return tuple(map(fp.to_exponent, constants)), (start,)


def offset(name: str, node: Offset, integer: bool) -> tuple[Arrays, Arrays]:
    return ((fp.to_fixed(node.bias) if integer else node.bias),), ()


def nothing(name: str, node: nir.NIRNode, integer: bool) -> tuple[Arrays, Arrays]:
    return (), ()


# Nodes that become one operation on signals, with what they give it.
SIGNALS: dict[type, tuple[Op, Callable]] = {
    LayerNorm: (Op.LAYER_NORM, layer_norm),
    WKV: (Op.WKV, wkv),
    Sigmoid: (Op.SIGMOID, nothing),
    SquaredReLU: (Op.SQUARED_RELU, nothing),
    Multiply: (Op.MULTIPLY, nothing),
    Offset: (Op.OFFSET, offset),
}
