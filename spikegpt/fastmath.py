"""Scalar exponential that LLVM can vectorise inside numba loops (float32), with a float64 twin."""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

LOG2E = np.float32(math.log2(math.e))
# Cody and Waite's split of ln 2: n * LN2_HIGH is exact for |n| < 2^9.
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
SMALLEST = np.float32(-87.0)  # lower results would be denormal (slow): they are flushed to 0
# Gradients below this are dropped: decaying on, they would become denormal, and torch's flush setting does not reach
# numba's threads.
TINY = 1e-30
HALF, ONE, ZERO = np.float32(0.5), np.float32(1.0), np.float32(0.0)
C3, C4, C5, C6 = (np.float32(1.0 / math.factorial(i)) for i in (3, 4, 5, 6))


@intrinsic
def _float_from_bits(typingctx, bits):
    """Reinterpret an int32 as a float32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@njit
def _exp32(x):
    n = np.floor(max(x, SMALLEST) * LOG2E + HALF)
    f = (x - n * LN2_HIGH) - n * LN2_LOW
    p = HALF + f * (C3 + f * (C4 + f * (C5 + f * C6)))
    p = ONE + f * (ONE + f * p)
    scale = _float_from_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    return ZERO if x <= SMALLEST else p * scale  # NaN stays NaN


def exp_nonpositive(x):
    """exp(x) for x <= 0, in the precision of x; float32 has relative error below 3e-7 and is 0 below exp(-87)."""
    return math.exp(x)


@overload(exp_nonpositive)
def _exp_nonpositive(x):
    if x == types.float32:
        return lambda x: _exp32(x)
    return lambda x: math.exp(x)
