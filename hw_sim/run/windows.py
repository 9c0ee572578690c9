"""Convolutions and pools of one token, compiled: `hw_sim.plan.ops.spatial` in the numbers of the plan.

`g` are the fields of a Geometry as they lie among the constants. An input that is not zero adds its kernel to `wide`,
which holds all outputs of a place together; they are put where they belong at the end.
"""

import numpy as np
from numba import njit

from hw_sim.plan import Op


@njit(cache=True, error_model="numpy", nogil=True)
def _place(tap, kernel_width, stride):
    """Where a tap lies in its row of the kernel: `Geometry.order`."""
    if stride == 1:
        return kernel_width - 1 - tap
    phase = tap % stride
    before = phase * (kernel_width // stride) + min(phase, kernel_width % stride)
    return before + (kernel_width - 1 - tap) // stride


@njit(cache=True, error_model="numpy", nogil=True)
def _add(kernel, tap, value, wide, place, n):
    weights, sums = kernel[tap : tap + n], wide[place : place + n]
    for j in range(n):
        sums[j] += value * weights[j]


@njit(cache=True, error_model="numpy", nogil=True)
def _numbers(g):
    """The fields of a Geometry as integers of 32 bits, whose division is quicker."""
    return (
        np.int32(g[0]), np.int32(g[1]), np.int32(g[2]), np.int32(g[3]), np.int32(g[4]), np.int32(g[5]), np.int32(g[6]),
        np.int32(g[7]), np.int32(g[8]), np.int32(g[9]), np.int32(g[10]), np.int32(g[11]), np.int32(g[12]),
        np.int32(g[13]), np.int32(g[14]),
    )  # fmt: skip


@njit(cache=True, error_model="numpy", nogil=True)
def _over(a, b):
    """a // b for a >= 0; most strides are 1."""
    return a if b == 1 else np.int32(a // b)


@njit(cache=True, error_model="numpy", nogil=True)
def _scatter(kernel, window, k, value, wide):
    """Add what input k sends; returns how many weights that were."""
    (channels, height, width, out_channels, out_height, out_width, kernel_height, kernel_width, stride_y, stride_x,
     padding_y, padding_x, dilation_y, dilation_x, groups) = window  # fmt: skip
    line_in = np.int32(k // width)
    c = np.int32(line_in // height)
    y, x = line_in - c * height + padding_y, k - line_in * width + padding_x  # in the padded map
    reach_y, reach_x = y - (kernel_height - 1) * dilation_y, x - (kernel_width - 1) * dilation_x
    low_y = np.int32(0) if reach_y <= 0 else _over(reach_y + stride_y - 1, stride_y)
    low_x = np.int32(0) if reach_x <= 0 else _over(reach_x + stride_x - 1, stride_x)
    high_y, high_x = min(out_height, _over(y, stride_y) + 1), min(out_width, _over(x, stride_x) + 1)
    if high_x <= low_x:
        return 0
    if groups == 1 and dilation_x == 1 and dilation_y == 1:  # all the outputs of a row at once
        n = (high_x - low_x) * out_channels
        first = _place(x - low_x * stride_x, kernel_width, stride_x)
        for oy in range(low_y, high_y):
            tap = (np.int64(c * kernel_height + (y - oy * stride_y)) * kernel_width + first) * out_channels
            _add(kernel, tap, value, wide, (oy * out_width + low_x) * out_channels, n)
        return max(0, high_y - low_y) * n
    fan, done = np.int32(out_channels // groups), 0
    group = np.int32(c // np.int32(channels // groups)) * fan
    for oy in range(low_y, high_y):
        if (y - oy * stride_y) % dilation_y:
            continue
        line = np.int64(c * kernel_height + (y - oy * stride_y) // dilation_y) * kernel_width
        for ox in range(low_x, high_x):
            if (x - ox * stride_x) % dilation_x == 0:
                tap = (line + _place((x - ox * stride_x) // dilation_x, kernel_width, stride_x)) * fan
                _add(kernel, tap, value, wide, (oy * out_width + ox) * out_channels + group, fan)
                done += fan
    return done


@njit(cache=True, error_model="numpy", nogil=True)
def _hand_out(out_channels, wide, y):
    """From all outputs of a place together to one map after the other."""
    places = y.size // out_channels
    for j in range(out_channels):
        for place in range(places):
            y[j * places + place] = wide[place * out_channels + j]


@njit(cache=True, error_model="numpy", nogil=True)
def windowed(op, kernel, g, active, x, wide, y):
    """A convolution or a pool; returns the inputs that were active and the operations done, none of a pool.

    A plan without any passes None for `wide`: numba then compiles none, which takes seconds.
    """
    if wide is None:
        return 0, 0
    if op == Op.CONV_EVENTS:
        return active.size, convolve_events(kernel, g, active, wide, y)
    if op == Op.CONV:
        return convolve(kernel, g, x, wide, y)
    pool(g, x, y)
    return 0, 0


@njit(cache=True, error_model="numpy", nogil=True)
def _empty(values, n):
    for j in range(n):
        values[j] = 0


@njit(cache=True, error_model="numpy", nogil=True)
def convolve_events(kernel, g, active, wide, y):
    """The kernel scattered by the spikes at `active`; returns the operations done."""
    _empty(wide, y.size)
    window, one, done = _numbers(g), y.dtype.type(1), 0
    for i in range(active.size):
        done += _scatter(kernel, window, np.int32(active[i]), one, wide)
    _hand_out(window[3], wide, y)
    return done


@njit(cache=True, error_model="numpy", nogil=True)
def convolve(kernel, g, x, wide, y):
    """The kernel scattered by every x that is not zero; returns how many those were, and the operations done."""
    _empty(wide, y.size)
    window, active, done = _numbers(g), 0, 0
    for k in range(x.size):
        if x[k] != 0:
            active += 1
            done += _scatter(kernel, window, np.int32(k), x[k], wide)
    _hand_out(window[3], wide, y)
    return active, done


@njit(cache=True, error_model="numpy", nogil=True)
def pool(g, x, y):
    """y = the sums over windows of x, map by map, its zeros skipped; a pool has no dilation."""
    (_, height, width, _, out_height, out_width, kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x,
     _, _, _) = _numbers(g)  # fmt: skip
    _empty(y, y.size)
    for at in range(x.size):
        value = x[at]
        if value == 0:
            continue
        k = np.int32(at)
        line = np.int32(k // width)
        c = np.int32(line // height)
        iy, ix = line - c * height + padding_y, k - line * width + padding_x
        low_y, low_x = (
            max(0, iy - kernel_height + stride_y) // stride_y,
            max(0, ix - kernel_width + stride_x) // stride_x,
        )
        for oy in range(low_y, min(out_height, iy // stride_y + 1)):
            for ox in range(low_x, min(out_width, ix // stride_x + 1)):
                y[(c * out_height + oy) * out_width + ox] += value
