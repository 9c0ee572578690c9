"""Integer arithmetic of the deployed network: the numpy step functions here are its specification.

Signals are fixed-point numbers with FRACTION_BITS fraction bits. Synapses are int8. The neuron is the fixed-point LIF
of Lava (lava-nc 0.10, `PyLifModelBitAcc`): 12-bit decay, 24-bit membrane, truncation toward zero, strict threshold.
LayerNorm, WKV and sigmoid are integers throughout: sums, products, shifts, integer divisions, two small tables.
"""

from math import ceil, log2

import numpy as np

FRACTION_BITS = 12
ONE = 1 << FRACTION_BITS
DECAY_BITS = 12  # Loihi's decay is a fraction of 2^12
CURRENT_SHIFT = 6  # Loihi shifts synaptic input and threshold mantissa by 6 bits
MEMBRANE_LIMIT = (1 << 23) - 1  # signed 24-bit membrane, saturating
INPUT_LIMIT = (1 << 17) - 1  # input that still fits the membrane after the shift, saturating
THRESHOLD_LIMIT = (1 << 17) - 1  # 17-bit threshold mantissa
SCALE_BITS = 15  # mantissa of a multiplier
GAIN_BITS = 14  # fraction bits of LayerNorm's weight
NORM_BITS = 16  # fraction bits of LayerNorm's x / std
ROOT_BITS = 7  # extra fraction bits of its standard deviation
INVERSE_BITS = 42  # of 2^INVERSE_BITS / std
NORM_WIDTH_LIMIT = 1 << 14  # channels: the sum of their 48-bit squares stays below 2^63
NORM_INPUT_LIMIT = (1 << 23) - 1  # a message of 24 bits

LOG2_E = 94548  # log2(e) with 16 fraction bits
EXPONENT_BITS = 16  # fraction bits of WKV's exponents, to base 2
WEIGHT_BITS = 22  # fraction bits of 2^-x and of WKV's denominator, which stays below 2: 24 bits with the sign
GUARD_BITS = 4  # WKV's numerator has this many fraction bits more than a signal
NUMERATOR_LIMIT = (1 << 23) - 1  # 24 bits, saturating
WKV_START = -(1 << 40)  # exponent before the first token: its weight is 0

# 2^-(i / 256) for i = 0 .. 256, WEIGHT_BITS fraction bits, and sigmoid(i / 16), 15 fraction bits
TABLE_BITS = 8
EXP2_TABLE = np.floor(2.0 ** (-np.arange(257) / 256 + WEIGHT_BITS) + 0.5).astype(np.int64)
SIGMOID_TABLE = np.floor(2.0**15 / (1 + np.exp(-np.arange(257) / 16)) + 0.5).astype(np.int64)


def to_fixed(x: np.ndarray, bits: int = FRACTION_BITS) -> np.ndarray:
    """Round real numbers to so many fraction bits, halves up; int64, at most 2^62 so that nothing wraps."""
    return np.clip(np.floor(np.asarray(x, np.float64) * 2.0**bits + 0.5), -(2.0**62), 2.0**62).astype(np.int64)


def to_exponent(x: np.ndarray) -> np.ndarray:
    """The y of 2^y = e^x for real x, with EXPONENT_BITS fraction bits; int64."""
    return to_fixed(np.asarray(x, np.float64) / np.log(2), EXPONENT_BITS)


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


def kept(v: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """What a membrane v keeps over one step: trunc(v * (4096 - decay) / 4096)."""
    product = v * ((1 << DECAY_BITS) - decay)
    return np.sign(product) * (np.abs(product) >> DECAY_BITS)


def lif(x: np.ndarray, v: np.ndarray, decay: np.ndarray, threshold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lava's LIF with no current memory: input x, membrane v, 12-bit decay and 17-bit threshold, each (n,) int64.

    v = trunc(v * (4096 - decay) / 4096) + (x << 6), saturating at 24 bits; a neuron spikes where v > threshold << 6
    and is then reset to 0. Returns spikes in {0, 1} and v.
    """
    v = kept(v, decay) + (np.clip(x, -INPUT_LIMIT, INPUT_LIMIT) << CURRENT_SHIFT)
    v = np.clip(v, -MEMBRANE_LIMIT, MEMBRANE_LIMIT)
    spikes = (v > threshold << CURRENT_SHIFT).astype(np.int64)
    return spikes, v * (1 - spikes)


def integer_root(x: int) -> int:
    """floor(sqrt(x)) for x >= 1, by Newton's iteration from above."""
    bits = 0
    while x >> bits:
        bits += 2
    root = 1 << (bits >> 1)
    while True:
        closer = (root + x // root) >> 1
        if closer >= root:
            return root
        root = closer


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: int) -> np.ndarray:
    """LayerNorm of x (n,); weight (n,) with GAIN_BITS fraction bits, bias (n,) a signal, eps with 2 FRACTION_BITS.

    Mean and variance are rounded to the nearest integer, std = floor(sqrt((variance + eps) 2^(2 ROOT_BITS))), and
    y = (x - mean) (2^INVERSE_BITS // std) weight + bias, rounded once at NORM_BITS and once at the end.
    """
    n = len(x)
    x = np.clip(x, -NORM_INPUT_LIMIT, NORM_INPUT_LIMIT)
    centred = x - (int(x.sum()) + n // 2) // n
    variance = (int((centred * centred).sum()) + n // 2) // n + eps
    inverse = (1 << INVERSE_BITS) // integer_root(max(variance, 1) << 2 * ROOT_BITS)
    normal = shift_right(centred * inverse, INVERSE_BITS - ROOT_BITS - NORM_BITS)
    return shift_right(normal * weight, NORM_BITS + GAIN_BITS - FRACTION_BITS) + bias


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x), interpolated in SIGMOID_TABLE, 1 beyond its end; for x < 0 it is 1 - sigmoid(-x)."""
    size = np.minimum(np.abs(x), (len(SIGMOID_TABLE) - 1 << TABLE_BITS) - 1)
    i, rest = size >> TABLE_BITS, size & ((1 << TABLE_BITS) - 1)
    y = SIGMOID_TABLE[i] + ((SIGMOID_TABLE[i + 1] - SIGMOID_TABLE[i]) * rest >> TABLE_BITS)
    y = shift_right(y, 15 - FRACTION_BITS)
    return np.where(x < 0, ONE - y, y)


def exp2_negative(x: np.ndarray) -> np.ndarray:
    """2^-x with WEIGHT_BITS fraction bits for x >= 0 with EXPONENT_BITS, interpolated in EXP2_TABLE, then shifted."""
    whole = np.minimum(x >> EXPONENT_BITS, 63)
    fraction = x & ((1 << EXPONENT_BITS) - 1)
    low_bits = EXPONENT_BITS - TABLE_BITS
    i, rest = fraction >> low_bits, fraction & ((1 << low_bits) - 1)
    return (EXP2_TABLE[i] - ((EXP2_TABLE[i] - EXP2_TABLE[i + 1]) * rest >> low_bits)) >> whole


def exponent(x: np.ndarray) -> np.ndarray:
    """A signal as an exponent to base 2: x log2(e), with EXPONENT_BITS fraction bits."""
    return shift_right(x * LOG2_E, FRACTION_BITS)


def wkv(
    k: np.ndarray, v: np.ndarray, a: np.ndarray, b: np.ndarray, p: np.ndarray, decay: np.ndarray, bonus: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One step of WKV, all (n,): signals k and v; decay, bonus and p exponents to base 2; a and b share exponent p.

    b has WEIGHT_BITS fraction bits and lies in [1, 2) after the first token: where it reaches 2, a and b are halved and
    p grows by 1. a has GUARD_BITS more fraction bits than a signal and saturates at 24 bits. Returns y (n,) and the new
    a, b, p.
    """
    k, v = exponent(k), v << GUARD_BITS
    now = bonus + k
    q = np.maximum(p, now)
    e1, e2 = exp2_negative(q - p), exp2_negative(q - now)
    top = shift_right(e1 * a + e2 * v, WEIGHT_BITS)
    bottom = shift_right(e1 * b, WEIGHT_BITS) + e2
    y = ((top << WEIGHT_BITS - GUARD_BITS) + (bottom >> 1)) // bottom
    q = np.maximum(p + decay, k)
    e1, e2 = exp2_negative(q - p - decay), exp2_negative(q - k)
    new_a = shift_right(e1 * a + e2 * v, WEIGHT_BITS)
    new_b = shift_right(e1 * b, WEIGHT_BITS) + e2
    carry = (new_b >= 2 << WEIGHT_BITS).astype(np.int64)
    new_a, new_b, q = (new_a + carry) >> carry, new_b >> carry, q + (carry << EXPONENT_BITS)
    return y, np.clip(new_a, -NUMERATOR_LIMIT, NUMERATOR_LIMIT), new_b, q


def wkv_reach(k: int, v: int, decay: float) -> int:
    """The largest magnitude of `wkv` for signals up to k and v and a slowest decay in bits a token.

    A weighted mean is no larger than v; what can exceed it is the numerator's rounding, at most 2 `step` a token as
    halving rounds too. Such an error fades by `decay` bits a token, but for the `span` that the shared exponent can
    fall while a large early key dominates. Besides, the numerator saturates, and the denominator is at least 1.
    """
    saturated = (NUMERATOR_LIMIT >> GUARD_BITS) + v + 2
    decay -= 2e-6  # 2^-x is interpolated, at most this much too large
    if decay <= 0:
        return saturated
    step = 0.5 + (v << GUARD_BITS) / 2**WEIGHT_BITS
    span = 2 * exponent(np.array([k])).item() / (1 << EXPONENT_BITS) + 2 + log2(1 / (1 - 2.0**-decay))
    error = 2 * step * (span / decay + 2 + 1 / (1 - 2.0**-decay))
    return min(saturated, ceil(v * (1 + 2.0**-20) + error / (1 << GUARD_BITS)) + 2)
