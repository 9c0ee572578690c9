"""Integer arithmetic of the deployed network: the numpy step functions here are its specification.

Signals are fixed-point numbers with FRACTION_BITS fraction bits. Synapses are int8. The neuron is the fixed-point LIF
of Lava (lava-nc 0.10, `PyLifModelBitAcc`): 12-bit decay, 24-bit membrane, truncation toward zero, strict threshold.
LayerNorm, WKV and sigmoid take and give fixed-point numbers but compute in float64 between them.
"""

import numpy as np

FRACTION_BITS = 12
ONE = 1 << FRACTION_BITS
DECAY_BITS = 12  # Loihi's decay is a fraction of 2^12
CURRENT_SHIFT = 6  # Loihi shifts synaptic input and threshold mantissa by 6 bits
MEMBRANE_LIMIT = (1 << 23) - 1  # signed 24-bit membrane, saturating
INPUT_LIMIT = (1 << 17) - 1  # input that still fits the membrane after the shift, saturating
THRESHOLD_LIMIT = (1 << 17) - 1  # 17-bit threshold mantissa
SCALE_BITS = 15  # mantissa of a multiplier
SUM_BITS = 24  # fraction bits of the two WKV sums
WKV_START = -(1 << 40)  # exponent before the first token: its weight is 0


def to_fixed(x: np.ndarray) -> np.ndarray:
    """Round real numbers to the fixed-point grid, halves up; int64."""
    return np.floor(np.asarray(x, np.float64) * ONE + 0.5).astype(np.int64)


def shift_right(x: np.ndarray, bits: int) -> np.ndarray:
    """x / 2^bits, rounded to the nearest integer, halves up."""
    return (x + (1 << bits >> 1)) >> bits


def scale(x: np.ndarray, mantissa: np.ndarray, shift: int) -> np.ndarray:
    """x * mantissa / 2^shift, rounded, for integers x (n,) and mantissa (n,)."""
    return shift_right(x * mantissa, shift)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return shift_right(a * b, FRACTION_BITS)


def squared_relu(x: np.ndarray) -> np.ndarray:
    positive = np.maximum(x, 0)
    return multiply(positive, positive)


def lif(x: np.ndarray, v: np.ndarray, decay: np.ndarray, threshold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lava's LIF with no current memory: input x, membrane v, 12-bit decay and 17-bit threshold, each (n,) int64.

    v = trunc(v * (4096 - decay) / 4096) + (x << 6), saturating at 24 bits; a neuron spikes where v > threshold << 6
    and is then reset to 0. Returns spikes in {0, 1} and v.
    """
    kept = v * ((1 << DECAY_BITS) - decay)
    kept = np.sign(kept) * (np.abs(kept) >> DECAY_BITS)
    v = kept + (np.clip(x, -INPUT_LIMIT, INPUT_LIMIT) << CURRENT_SHIFT)
    v = np.clip(v, -MEMBRANE_LIMIT, MEMBRANE_LIMIT)
    spikes = (v > threshold << CURRENT_SHIFT).astype(np.int64)
    return spikes, v * (1 - spikes)


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """LayerNorm of fixed-point x (n,) with real weight, bias and eps."""
    real = x / ONE
    centred = real - real.sum() / len(x)
    inverse = 1.0 / np.sqrt((centred * centred).sum() / len(x) + eps)
    return to_fixed(centred * inverse * weight + bias)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return to_fixed(1.0 / (1.0 + np.exp(-(x / ONE))))


def wkv(
    k: np.ndarray, v: np.ndarray, a: np.ndarray, b: np.ndarray, p: np.ndarray, decay: np.ndarray, bonus: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One step of WKV: k, v, p, decay, bonus (n,) fixed point; a, b (n,) the sums with SUM_BITS fraction bits.

    Returns y (n,) and the new a, b, p.
    """
    unit = float(1 << SUM_BITS)
    real_a, real_b, real_v = a / unit, b / unit, v / ONE
    now = bonus + k
    q = np.maximum(p, now)
    e1, e2 = np.exp((p - q) / ONE), np.exp((now - q) / ONE)
    y = to_fixed((e1 * real_a + e2 * real_v) / (e1 * real_b + e2))
    q = np.maximum(p + decay, k)
    e1, e2 = np.exp((p + decay - q) / ONE), np.exp((k - q) / ONE)
    new_a = np.floor((e1 * real_a + e2 * real_v) * unit + 0.5).astype(np.int64)
    new_b = np.floor((e1 * real_b + e2) * unit + 0.5).astype(np.int64)
    return y, new_a, new_b, q
