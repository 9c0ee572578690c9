"""The NIR primitives that SpikeGPT needs beyond the standard ones, each with its numpy step.

NIR gives every node one input port, and edges into a port are summed. A node of two operands therefore reads them as
one concatenated vector; `Place` shifts each operand into its part of that vector, so that the sum concatenates.
"""

from dataclasses import dataclass

import nir
import numpy as np

from hw_sim.plan import floating_point as fl
from spikegpt.config import WKV_START

DT = 1e-4  # a time step, one token, in NIR's seconds; SpikingJelly, snnTorch and norse can all be run at it


@dataclass(eq=False)
class LayerNorm(nir.NIRNode):
    r"""Layer normalisation over the channels, :math:`y = (x - E[x]) / \sqrt{Var[x] + eps} * weight + bias`.

    weight, bias (d,); eps (1,); x and y (d,).
    """

    weight: np.ndarray
    bias: np.ndarray
    eps: np.ndarray

    def __post_init__(self):
        _check_shapes(self, ("weight", "bias"), self.weight.shape)
        _check_shapes(self, ("eps",), (1,))
        self.input_type = {"input": np.array(self.weight.shape)}
        self.output_type = {"output": np.array(self.weight.shape)}

    def step(self, x: np.ndarray) -> np.ndarray:
        return fl.layer_norm(x, self.weight, self.bias, self.eps[0])


@dataclass(eq=False)
class WKV(nir.NIRNode):
    r"""The linear attention of RWKV-4 over time, on the concatenated key and value.

    .. math::
        y_t = \frac{\sum_{i<t} e^{(t-1-i) w + k_i} v_i + e^{u + k_t} v_t}{\sum_{i<t} e^{(t-1-i) w + k_i} + e^{u + k_t}}

    w = decay (d,), negative, per time step; u = bonus (d,); input (2 d,) = [k, v]; output (d,).
    State (3, d) = (a, b, p): numerator and denominator, both divided by e^p, p the running maximum exponent.
    """

    decay: np.ndarray
    bonus: np.ndarray

    def __post_init__(self):
        _check_shapes(self, ("decay", "bonus"), self.decay.shape)
        self.input_type = {"input": np.array([2 * self.decay.size])}
        self.output_type = {"output": np.array([self.decay.size])}

    def start(self) -> np.ndarray:
        """The state before the first token, (3, d)."""
        state = np.zeros((3, self.decay.size), self.decay.dtype)
        state[2] = WKV_START
        return state

    def step(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        k, v = np.split(x, 2)
        a, b, p = state
        y, *kept = fl.wkv(k, v, a, b, p, self.decay, self.bonus)
        return y, np.stack(kept)


@dataclass(eq=False)
class _Pointwise(nir.NIRNode):
    """A function of every channel by itself."""

    shape: np.ndarray

    def __post_init__(self):
        self.input_type = {"input": np.array(self.shape)}
        self.output_type = {"output": np.array(self.shape)}


@dataclass(eq=False)
class Sigmoid(_Pointwise):
    r"""Logistic function, :math:`y = 1 / (1 + e^{-x})`; shape (1,) holds the width d."""

    def step(self, x: np.ndarray) -> np.ndarray:
        return fl.sigmoid(x)


@dataclass(eq=False)
class SquaredReLU(_Pointwise):
    r"""Squared rectifier, :math:`y = \max(x, 0)^2`; shape (1,) holds the width d."""

    def step(self, x: np.ndarray) -> np.ndarray:
        return fl.squared_relu(x)


@dataclass(eq=False)
class Multiply(nir.NIRNode):
    r"""Product of two vectors, :math:`y = x_{:d} \cdot x_{d:}`; shape (1,) holds d, input (2 d,), output (d,)."""

    shape: np.ndarray

    def __post_init__(self):
        self.input_type = {"input": 2 * np.array(self.shape)}
        self.output_type = {"output": np.array(self.shape)}

    def step(self, x: np.ndarray) -> np.ndarray:
        left, right = np.split(x, 2)
        return left * right


@dataclass(eq=False)
class Offset(nir.NIRNode):
    r"""Addition of a constant vector, :math:`y = x + bias`; all (d,)."""

    bias: np.ndarray

    def __post_init__(self):
        self.input_type = {"input": np.array(self.bias.shape)}
        self.output_type = {"output": np.array(self.bias.shape)}

    def step(self, x: np.ndarray) -> np.ndarray:
        return x + self.bias


@dataclass(eq=False)
class Place(nir.NIRNode):
    r"""Embedding of a vector in a longer one, :math:`y_{offset : offset + n} = x`, zero elsewhere.

    offset (1,); shape (2,) = (n, size); x (n,), y (size,).
    """

    offset: np.ndarray
    shape: np.ndarray

    def __post_init__(self):
        _check_shapes(self, ("shape",), (2,))
        n, size = (int(v) for v in self.shape)
        if not 0 <= int(self.offset[0]) <= size - n:
            raise ValueError(f"Place: {n} values at offset {int(self.offset[0])} do not fit in {size}")
        self.input_type = {"input": np.array([n])}
        self.output_type = {"output": np.array([size])}

    def step(self, x: np.ndarray) -> np.ndarray:
        y = np.zeros(int(self.shape[1]), x.dtype)
        y[int(self.offset[0]) : int(self.offset[0]) + len(x)] = x
        return y


@dataclass(eq=False)
class TokenShift(nir.NIRNode):
    r"""Mixture with the time step before, :math:`y_t = mix * x_t + (1 - mix) * x_{t-1}`, where :math:`x_{-1} = 0`.

    mix (d,); x and y (d,). The pass `split_token_shift` replaces it by standard nodes before a file is written.
    """

    mix: np.ndarray

    def __post_init__(self):
        self.input_type = {"input": np.array(self.mix.shape)}
        self.output_type = {"output": np.array(self.mix.shape)}

    def step(self, x: np.ndarray, before: np.ndarray) -> np.ndarray:
        return self.mix * x + (1 - self.mix) * before


EXTENSIONS = (LayerNorm, WKV, Sigmoid, SquaredReLU, Multiply, Offset, Place, TokenShift)


def memoryless(lif: nir.LIF) -> bool:
    """Whether a population is one comparison a neuron, its input with its threshold: in float32 a membrane decays
    within one step, and nothing is added to its input or scales it."""
    rate = (DT / np.asarray(lif.tau)).astype(np.float32)
    return bool(np.all(rate == 1) and np.all(lif.r == 1) and not np.any(lif.v_leak) and not np.any(lif.v_reset))


def _check_shapes(node: nir.NIRNode, names: tuple[str, ...], shape: tuple[int, ...]) -> None:
    for name in names:
        value = getattr(node, name)
        if getattr(value, "shape", None) != shape:
            raise ValueError(f"{type(node).__name__}: {name} has shape {getattr(value, 'shape', None)}, needs {shape}")


def register() -> None:
    """Make `nir.read` know the extensions: nir 1.0.8 has no public call for it, only this private list."""
    known = nir.ir.__dict__["__all_ir"]
    for cls in EXTENSIONS:
        setattr(nir.ir, cls.__name__, cls)
        if cls.__name__ not in known:
            known.append(cls.__name__)


register()
