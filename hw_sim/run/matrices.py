"""Matrix products of one token, compiled: rows of active inputs summed, or dense where inputs are real numbers.

Weights of `events_*` and `sparse_*` are input-major: one row an input. Weights of `dense_*` are output-major.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

ROWS = 8  # rows added in one pass over the accumulator
PARTIAL = 256  # rows of int8 whose sum fits int16
DIGIT_BITS = 15  # of a real input, so that DIGIT_BLOCK products with int8 fit int32
DIGIT_BLOCK = 512


AHEAD = 8  # rows fetched before they are added
LINE = 64  # bytes of a cache line
FETCH = 2048  # bytes of a row fetched ahead; the processor itself goes on from there


@intrinsic
def _fetch(typing, array, at):
    """Ask for the cache line of array[at] and go on."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        builder.call(function, [pointer, flag(0), flag(3), flag(1)])  # to read, to all caches, data
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@njit(cache=True, error_model="numpy", nogil=True)
def _fetch_rows(weights, active, first, n_out):
    """Ask for the rows named by active[first : first + AHEAD]."""
    step = LINE // weights.itemsize
    for i in range(first, min(first + AHEAD, active.size)):
        start = np.int64(active[i]) * n_out
        for j in range(start, start + min(n_out, FETCH // weights.itemsize), step):
            _fetch(weights, j)


@njit(cache=True, error_model="numpy", nogil=True)
def events_int8(weights, active, partial, accumulator):
    """Sum the rows of int8 `weights` (n_in * n_out,) named by `active` into int32 `accumulator` (n_out,).

    `partial` (n_out,) int16 is scratch: 16 bits hold any PARTIAL rows and halve the work of 32.
    """
    for j in range(accumulator.size):
        accumulator[j] = 0
    count, n_out = active.size, partial.size
    for first in range(0, count, PARTIAL):
        last = min(count, first + PARTIAL)
        for j in range(partial.size):
            partial[j] = 0
        i = first
        while i + ROWS <= last:
            _fetch_rows(weights, active, i + AHEAD, n_out)
            a, b = _row(weights, active[i], n_out), _row(weights, active[i + 1], n_out)
            c, d = _row(weights, active[i + 2], n_out), _row(weights, active[i + 3], n_out)
            e, f = _row(weights, active[i + 4], n_out), _row(weights, active[i + 5], n_out)
            g, h = _row(weights, active[i + 6], n_out), _row(weights, active[i + 7], n_out)
            for j in range(partial.size):
                partial[j] += (
                    np.int16(a[j]) + np.int16(b[j]) + np.int16(c[j]) + np.int16(d[j])
                    + np.int16(e[j]) + np.int16(f[j]) + np.int16(g[j]) + np.int16(h[j])
                )  # fmt: skip
            i += ROWS
        while i < last:
            a = _row(weights, active[i], n_out)
            for j in range(partial.size):
                partial[j] += np.int16(a[j])
            i += 1
        for j in range(partial.size):
            accumulator[j] += partial[j]


@njit(cache=True, error_model="numpy", nogil=True)
def events_float(weights, active, y):
    """Sum the rows of float32 `weights` (n_in * n_out,) named by `active` into `y` (n_out,)."""
    for j in range(y.size):
        y[j] = 0
    count, n_out, i = active.size, y.size, 0
    while i + 4 <= count:
        if i % AHEAD == 0:
            _fetch_rows(weights, active, i + AHEAD, n_out)
        a, b = _row(weights, active[i], n_out), _row(weights, active[i + 1], n_out)
        c, d = _row(weights, active[i + 2], n_out), _row(weights, active[i + 3], n_out)
        for j in range(y.size):
            y[j] += (a[j] + b[j]) + (c[j] + d[j])
        i += 4
    while i < count:
        a = _row(weights, active[i], n_out)
        for j in range(y.size):
            y[j] += a[j]
        i += 1


@njit(cache=True, error_model="numpy", nogil=True)
def sparse(weights, x, y):
    """Sum x[k] times row k of `weights` (n_in * n_out,) into `y` (n_out,), zeros skipped; returns how many were not."""
    for j in range(y.size):
        y[j] = 0
    active = 0
    for k in range(x.size):
        value = x[k]
        if value != 0:
            active += 1
            row = weights[k * y.size : (k + 1) * y.size]
            for j in range(y.size):
                y[j] += value * row[j]
    return active


@njit(cache=True, error_model="numpy", nogil=True, fastmath={"reassoc", "contract", "nsz"})
def dense_float(weights, x, y):
    """y[j] = row j of `weights` (n_out * n_in,) times x (n_in,), float32; returns the number of non-zero inputs."""
    active = 0
    for k in range(x.size):
        active += x[k] != 0
    for j in range(y.size):
        row, total = weights[j * x.size : (j + 1) * x.size], np.float32(0)
        for k in range(x.size):
            total += row[k] * x[k]
        y[j] = total
    return active


@njit(cache=True, error_model="numpy", nogil=True)
def dense_int8(weights, x, digits, y):
    """y[j] = row j of int8 `weights` (n_out * n_in,) times int64 x (n_in,), exactly; returns the non-zero inputs.

    Inputs are cut into signed digits of DIGIT_BITS, most often one; `digits` (n_in,) int16 is scratch.
    """
    active, largest = 0, 0
    for k in range(x.size):
        active += x[k] != 0
        largest = max(largest, abs(x[k]))
    for j in range(y.size):
        y[j] = 0
    shift = 0
    while True:
        last = largest >> shift < 1 << DIGIT_BITS
        for k in range(x.size):
            rest = x[k] >> shift
            digits[k] = rest if last else rest & ((1 << DIGIT_BITS) - 1)
        for block in range(0, x.size, DIGIT_BLOCK):
            some = digits[block : block + DIGIT_BLOCK]
            for j in range(y.size):
                row, total = weights[j * x.size + block :][: some.size], np.int32(0)
                for k in range(some.size):
                    total = np.int32(total + np.int32(some[k]) * np.int32(row[k]))
                y[j] += np.int64(total) << shift
        if last:
            return active
        shift += DIGIT_BITS


@njit(cache=True, error_model="numpy", nogil=True)
def _row(weights, i, n_out):
    return weights[i * n_out : (i + 1) * n_out]
