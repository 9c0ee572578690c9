"""How large each vector of an integer plan can become, proven from its constants: what standard processes may carry.

Lava's ports hold 32 bits and wrap without a word, so a standard process is used only where no input can reach that.
"""

from math import ceil, isqrt, log2

import numpy as np

from hw_sim.plan import FIELDS, Op, Plan
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.checks import largest_sums

SIGNAL_LIMIT = (1 << 31) - 1  # of a message between two Lava processes on a CPU


def ranges(plan: Plan, reads: list[tuple[int, ...]], order: list[int]) -> dict[int, int]:
    """The largest magnitude of each row's vector, by row; `reads` and `order` as from `dataflow`.

    A process of our own stops the run where its output exceeds SIGNAL_LIMIT, so no input is larger. A matrix and a sum
    are given in full: a Dense and a port check nothing.
    """
    sums = largest_sums(plan)
    found: dict[int, int] = {}
    for i in order:
        inputs = [min(found[k], SIGNAL_LIMIT) for k in reads[i]]
        found[i] = sums[i] if i in sums else _reach(plan, i, inputs)
    return found


def _reach(plan: Plan, i: int, inputs: list[int]) -> int:
    field = dict(zip(FIELDS, plan.table[i].tolist(), strict=True))
    op, n_in, n_out, c, w = (field[name] for name in ("op", "n_in", "n_out", "c", "w"))

    def largest(k: int, n: int = n_out) -> int:
        return int(np.abs(plan.constants[c + k * n : c + (k + 1) * n].astype(np.int64)).max())

    if op == Op.EMBED:
        return largest(0, n_in * n_out)
    if op in (Op.LIF, Op.SIGMOID):
        return fp.ONE
    if op == Op.ADD:
        return inputs[0] + inputs[1]
    if op == Op.SCALE:
        return (inputs[0] * largest(0) >> field["shift"]) + 1
    if op == Op.LAYER_NORM:
        # |x - mean| is at most sqrt(n - 1) times the standard deviation; the integer root is up to 1 % short.
        normal = (isqrt(n_in) + 1) * (65 << fp.NORM_BITS - 6)
        return (normal * largest(0) >> fp.NORM_BITS + fp.GAIN_BITS - fp.FRACTION_BITS) + largest(1) + 1
    if op in (Op.DENSE, Op.SPARSE):
        weights = np.abs(plan.weights[w : w + n_in * n_out].astype(np.int64))
        rows = weights.reshape(n_out, n_in).T if op == Op.DENSE else weights.reshape(n_in, n_out)
        return int(rows.sum(axis=0).max()) * inputs[0]
    if op == Op.WKV:
        slowest = int((-plan.constants[c : c + n_out].astype(np.int64)).min()) / (1 << fp.EXPONENT_BITS)
        return wkv_reach(inputs[0], inputs[1], slowest)
    if op == Op.SQUARED_RELU:
        return (inputs[0] ** 2 >> fp.FRACTION_BITS) + 1
    if op == Op.MULTIPLY:
        return (inputs[0] * inputs[1] >> fp.FRACTION_BITS) + 1
    return inputs[0]  # COPY, DELAY_READ, DELAY_WRITE, OUTPUT


def wkv_reach(k: int, v: int, decay: float) -> int:
    """The largest magnitude of fixed_point.wkv for signals up to k and v and a slowest decay in bits a token.

    A weighted mean is no larger than v; what can exceed it is the numerator's rounding, at most 2 `step` a token as
    halving rounds too. Such an error fades by `decay` bits a token, but for the `span` that the shared exponent can
    fall while a large early key dominates. Besides, the numerator saturates, and the denominator is at least 1.
    """
    saturated = (fp.NUMERATOR_LIMIT >> fp.GUARD_BITS) + v + 2
    decay -= 2e-6  # 2^-x is interpolated, at most this much too large
    if decay <= 0:
        return saturated
    step = 0.5 + (v << fp.GUARD_BITS) / 2**fp.WEIGHT_BITS
    span = 2 * fp.exponent(np.array([k])).item() / (1 << fp.EXPONENT_BITS) + 2 + log2(1 / (1 - 2.0**-decay))
    error = 2 * step * (span / decay + 2 + 1 / (1 - 2.0**-decay))
    return min(saturated, ceil(v * (1 + 2.0**-20) + error / (1 << fp.GUARD_BITS)) + 2)
