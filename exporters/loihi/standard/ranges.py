"""How large each vector of an integer plan can become, proven from its constants: what standard processes may carry.

Lava's ports hold 32 bits and wrap without a word, so a standard process is used only where no input can reach that.
"""

from math import isqrt

import numpy as np

from hw_sim import fixed_point as fp
from hw_sim.bounds import largest_sums
from hw_sim.plan import FIELDS, Op, Plan

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
        # The numerator saturates, the denominator is at least 1, and the newest value has at most weight 1.
        return (fp.NUMERATOR_LIMIT >> fp.GUARD_BITS) + inputs[1] + 2
    if op == Op.SQUARED_RELU:
        return (inputs[0] ** 2 >> fp.FRACTION_BITS) + 1
    if op == Op.MULTIPLY:
        return (inputs[0] * inputs[1] >> fp.FRACTION_BITS) + 1
    return inputs[0]  # COPY, DELAY_READ, DELAY_WRITE, OUTPUT
