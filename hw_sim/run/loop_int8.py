"""The compiled loop of an integer plan, bit for bit `hw_sim.plan.ops`.

Every function writes y; those that keep something write their state too. Loops are written for LLVM's vectoriser: no
branches, no table look-ups that depend on the one before.
"""

import numpy as np
from numba import njit

from hw_sim.plan import Op
from hw_sim.plan import fixed_point as fp
from hw_sim.run.mailbox import give, put, take, widest
from hw_sim.run.matrices import dense_int8, events_int8, sparse
from hw_sim.run.windows import windowed

SIGMOID_LAST = (len(fp.SIGMOID_TABLE) - 1 << fp.TABLE_BITS) - 1
WEIGHT_ONE = 1 << fp.WEIGHT_BITS
EXP2_LOW_BITS = fp.EXPONENT_BITS - fp.TABLE_BITS

_integer_root = njit(cache=True, error_model="numpy", nogil=True)(fp.integer_root)


@njit(cache=True, nogil=True)
def _shift_right(x, bits):
    return (x + (1 << bits >> 1)) >> bits


@njit(cache=True, nogil=True)
def _clip(x, limit):
    return max(-limit, min(limit, x))


@njit(cache=True, nogil=True)
def _scale(x, mantissa, shift, y):
    half = 1 << shift >> 1
    for j in range(y.size):
        y[j] = (x[j] * np.int64(mantissa[j]) + half) >> shift


@njit(cache=True, nogil=True, inline="always")
def _drive(x):
    return _clip(x, fp.INPUT_LIMIT) << fp.CURRENT_SHIFT


@njit(cache=True, nogil=True)
def _lif(x, decay, threshold, forgets, v, spikes, fired, events, y):
    """Returns driven neurons and spikes; `fired` counts them by neuron, their addresses go to `events`."""
    driven = 0
    if forgets:
        for j in range(y.size):
            driven += x[j] != 0
            u = _drive(x[j])
            spike = u > np.int64(threshold[j]) << fp.CURRENT_SHIFT
            spikes[j] = spike
            v[j] = 0 if spike else u
    else:
        for j in range(y.size):
            driven += x[j] != 0
            kept = v[j] * ((1 << fp.DECAY_BITS) - np.int64(decay[j]))
            kept = (kept + ((kept >> 63) & ((1 << fp.DECAY_BITS) - 1))) >> fp.DECAY_BITS  # toward zero
            u = _clip(kept + _drive(x[j]), fp.MEMBRANE_LIMIT)
            spike = u > np.int64(threshold[j]) << fp.CURRENT_SHIFT
            spikes[j] = spike
            v[j] = 0 if spike else u
    for j in range(y.size):
        fired[j] += spikes[j]
        y[j] = np.int64(spikes[j]) << fp.FRACTION_BITS
    count = 0
    for j in range(y.size):  # without a branch: which neurons fire cannot be predicted
        events[count] = j
        count += spikes[j]
    return driven, count


@njit(cache=True, error_model="numpy", nogil=True)
def _normal(x, eps, centred, y):
    """Normalise x (n,) to NORM_BITS fraction bits."""
    n, total, square = x.size, 0, 0
    for j in range(n):
        total += _clip(x[j], fp.NORM_INPUT_LIMIT)
    mean = (total + n // 2) // n
    for j in range(n):
        difference = _clip(x[j], fp.NORM_INPUT_LIMIT) - mean
        centred[j] = difference
        square += difference * difference
    variance = (square + n // 2) // n + np.int64(eps)
    inverse = (1 << fp.INVERSE_BITS) // _integer_root(max(variance, 1) << 2 * fp.ROOT_BITS)
    for j in range(y.size):
        y[j] = _shift_right(centred[j] * inverse, fp.INVERSE_BITS - fp.ROOT_BITS - fp.NORM_BITS)


@njit(cache=True, error_model="numpy", nogil=True)
def _bare_norm(x, eps, centred, y):
    _normal(x, eps, centred, y)
    for j in range(y.size):
        y[j] = _shift_right(y[j], fp.NORM_BITS - fp.FRACTION_BITS)


@njit(cache=True, error_model="numpy", nogil=True)
def _layer_norm(x, weight, bias, eps, centred, y):
    _normal(x, eps, centred, y)
    for j in range(y.size):
        product = y[j] * np.int64(weight[j])
        y[j] = _shift_right(product, fp.NORM_BITS + fp.GAIN_BITS - fp.FRACTION_BITS) + np.int64(bias[j])


@njit(cache=True, nogil=True)
def _sigmoid(x, y):
    for j in range(y.size):
        size = min(abs(x[j]), SIGMOID_LAST)
        i, rest = size >> fp.TABLE_BITS, size & ((1 << fp.TABLE_BITS) - 1)
        low = fp.SIGMOID_TABLE[i]
        value = low + ((fp.SIGMOID_TABLE[i + 1] - low) * rest >> fp.TABLE_BITS)
        value = _shift_right(value, 15 - fp.FRACTION_BITS)
        y[j] = fp.ONE - value if x[j] < 0 else value


@njit(cache=True, nogil=True)
def _exp2_negative(x):
    fraction = x & ((1 << fp.EXPONENT_BITS) - 1)
    i, rest = fraction >> EXP2_LOW_BITS, fraction & ((1 << EXP2_LOW_BITS) - 1)
    high = fp.EXP2_TABLE[i]
    return (high - ((high - fp.EXP2_TABLE[i + 1]) * rest >> EXP2_LOW_BITS)) >> min(x >> fp.EXPONENT_BITS, 63)


@njit(cache=True, error_model="numpy", nogil=True)
def _floor_divide(top, bottom):
    """top // bottom for bottom > 0 and |top| < 2^53: a division in float64, which vectorises, put right by one."""
    q = np.int64(np.floor(np.float64(top) / np.float64(bottom)))
    rest = top - q * bottom
    return q - (rest < 0) + (rest >= bottom)


@njit(cache=True, error_model="numpy", nogil=True)
def _wkv(key, value, decay, bonus, a, b, p, y):
    for j in range(y.size):
        k, v = _shift_right(key[j] * fp.LOG2_E, fp.FRACTION_BITS), value[j] << fp.GUARD_BITS
        lead = p[j] - (np.int64(bonus[j]) + k)
        past, e = lead > 0, _exp2_negative(abs(lead))  # the weight of the lesser term; that of the greater is 1
        top = _shift_right(e * (v if past else a[j]), fp.WEIGHT_BITS) + (a[j] if past else v)
        bottom = b[j] + e if past else _shift_right(e * b[j], fp.WEIGHT_BITS) + WEIGHT_ONE
        y[j] = _floor_divide((top << fp.WEIGHT_BITS - fp.GUARD_BITS) + (bottom >> 1), bottom)
        decayed = p[j] + np.int64(decay[j])
        lead = decayed - k
        past, e = lead > 0, _exp2_negative(abs(lead))
        new_a = _shift_right(e * (v if past else a[j]), fp.WEIGHT_BITS) + (a[j] if past else v)
        new_b = b[j] + e if past else _shift_right(e * b[j], fp.WEIGHT_BITS) + WEIGHT_ONE
        carry = np.int64(new_b >= 2 << fp.WEIGHT_BITS)
        a[j] = _clip((new_a + carry) >> carry, fp.NUMERATOR_LIMIT)
        b[j] = new_b >> carry
        p[j] = max(decayed, k) + (carry << fp.EXPONENT_BITS)


@njit(cache=True, error_model="numpy", nogil=True)
def run_integer(
    table, weights, constants, state, signals, events, lengths, tokens, logits, counters, fired, raster, stage, done,
    incoming, inbox, outgoing, outbox, sums
):  # fmt: skip
    """Feed tokens (T,) through rows of a table, as one stage of a pipeline; buffers: `hw_sim.run.pipeline`.

    `sums` (widest,) is scratch of windows, None where the plan has none."""
    most = widest(table)
    accumulator, wide = np.zeros(most, np.int32), np.zeros(most, np.int64)
    partial, spikes = np.zeros(most, np.int16), np.zeros(most, np.uint8)
    for t in range(tokens.size):
        take(stage, done, t, incoming, inbox, signals)
        for i in range(table.shape[0]):
            op, n_in, n, w, c, s, e = (table[i, 0], table[i, 3], table[i, 4], table[i, 5], table[i, 6], table[i, 7],
                                       table[i, 8])  # fmt: skip
            x = signals[table[i, 1] : table[i, 1] + n_in]
            z = signals[table[i, 10] : table[i, 10] + n]
            y = signals[table[i, 2] : table[i, 2] + n]
            if op == Op.EVENTS:
                active = events[e : e + lengths[e]]
                counters[i, 0] += active.size
                events_int8(weights[w : w + n_in * n], active, partial[:n], accumulator[:n])
                for j in range(n):
                    y[j] = accumulator[j]
            elif op == Op.LIF:
                driven, lengths[e] = _lif(
                    x, constants[c : c + n], constants[c + n : c + 2 * n], table[i, 9],
                    state[s : s + n], spikes[:n], fired[e : e + n], events[e : e + n], y,
                )  # fmt: skip
                counters[i, 0] += driven
                if raster.shape[0]:
                    put(raster[t], e, spikes[:n])
            elif op == Op.CONV_EVENTS or op == Op.CONV or op == Op.POOL:
                number, done_now = windowed(op, weights[w:], constants[c:], events[e : e + lengths[e]], x, sums, y)
                counters[i, 0] += number
                counters[i, 1] += done_now
            elif op == Op.OFFSET:
                for j in range(y.size):
                    y[j] = x[j] + np.int64(constants[c + j])
            elif op == Op.SCALE:
                _scale(x, constants[c : c + n], table[i, 9], y)
            elif op == Op.ADD:
                for j in range(y.size):
                    y[j] = x[j] + z[j]
            elif op == Op.DENSE:
                counters[i, 0] += dense_int8(weights[w : w + n_in * n], x, partial[:n_in], y)
            elif op == Op.SPARSE:
                counters[i, 0] += sparse(weights[w : w + n_in * n], x, y)
            elif op == Op.LAYER_NORM and table[i, 9]:
                _bare_norm(x, constants[c], wide[:n], y)
            elif op == Op.LAYER_NORM:
                _layer_norm(x, constants[c : c + n], constants[c + n : c + 2 * n], constants[c + 2 * n], wide[:n], y)
            elif op == Op.WKV:
                _wkv(
                    x, z, constants[c : c + n], constants[c + n : c + 2 * n], state[s : s + n],
                    state[s + n : s + 2 * n], state[s + 2 * n : s + 3 * n], y,
                )  # fmt: skip
            elif op == Op.SIGMOID:
                _sigmoid(x, y)
            elif op == Op.MULTIPLY:
                for j in range(y.size):
                    y[j] = _shift_right(x[j] * z[j], fp.FRACTION_BITS)
            elif op == Op.SQUARED_RELU:
                for j in range(y.size):
                    positive = max(x[j], 0)
                    y[j] = _shift_right(positive * positive, fp.FRACTION_BITS)
            elif op == Op.COPY:
                put(y, 0, x)
            elif op == Op.DELAY_READ and table[i, 9] > 1:
                for j in range(y.size):
                    y[j] = state[s + (np.int64(constants[c + j]) - 1) * n + j]
            elif op == Op.DELAY_READ:
                put(y, 0, state[s : s + n])
            elif op == Op.DELAY_WRITE:
                for kept in range(table[i, 9] - 1, 0, -1):
                    put(state, s + kept * n, state[s + (kept - 1) * n : s + kept * n])
                put(state, s, x)
            elif op == Op.EMBED:
                row = c + tokens[t] * n
                for j in range(y.size):
                    y[j] = np.int64(constants[row + j])
            elif op == Op.OUTPUT:
                for j in range(x.size):
                    logits[t, j] = np.float32(x[j] / fp.ONE)
        give(stage, done, t, outgoing, outbox, signals)
