"""The compiled loops: one pass over the plan's table for every token, no Python in between.

`run_float` and `run_integer` execute the same table; `run_integer` is bit for bit `interpreter.Interpreter`.
Counters (rows, 2): [0] inputs that caused work (spikes at EVENTS, non-zeros at DENSE, driven neurons at LIF),
[1] spikes sent by a LIF. `raster` (T, neurons) receives all spikes; with no rows it is not written.
"""

import numpy as np
from numba import njit

from hw_sim import fixed_point as fp
from hw_sim.plan import Op

(
    EMBED, COPY, ADD, SCALE, DELAY_READ, DELAY_WRITE, LAYER_NORM, LIF, EVENTS, DENSE,
    WKV, SIGMOID, SQUARED_RELU, MULTIPLY, OUTPUT,
) = (int(op) for op in Op)  # fmt: skip
FRACTION_BITS = fp.FRACTION_BITS
UNIT, HALF, DECAY_BITS, CURRENT_SHIFT = fp.ONE, fp.ONE >> 1, fp.DECAY_BITS, fp.CURRENT_SHIFT
INPUT_LIMIT, MEMBRANE_LIMIT = fp.INPUT_LIMIT, fp.MEMBRANE_LIMIT


@njit(cache=True, error_model="numpy")
def _gather_events(weights, w, n_out, events, e, count, accumulator):
    """Sum the weight rows of the active inputs into accumulator[:n_out]."""
    for j in range(n_out):
        accumulator[j] = 0
    for i in range(count):
        row = w + events[e + i] * n_out
        for j in range(n_out):
            accumulator[j] += weights[row + j]


@njit(cache=True, error_model="numpy")
def run_float(table, weights, constants, state, signals, events, lengths, tokens, logits, counters, raster):
    one, zero = np.float32(1), np.float32(0)
    accumulator = np.zeros(max(table[:, 4]), np.float32)
    for t in range(tokens.size):
        for i in range(table.shape[0]):
            op, x, y, n_in, n = table[i, 0], table[i, 1], table[i, 2], table[i, 3], table[i, 4]
            w, c, s, e = table[i, 5], table[i, 6], table[i, 7], table[i, 8]
            if op == EVENTS:
                counters[i, 0] += lengths[e]
                _gather_events(weights, w, n, events, e, lengths[e], accumulator)
                for j in range(n):
                    signals[y + j] = accumulator[j]
            elif op == DENSE:
                for j in range(n):
                    accumulator[j] = zero
                for k in range(n_in):
                    value = signals[x + k]
                    if value != zero:
                        counters[i, 0] += 1
                        row = w + k * n
                        for j in range(n):
                            accumulator[j] += value * weights[row + j]
                for j in range(n):
                    signals[y + j] = accumulator[j]
            elif op == LIF:
                count = 0
                for j in range(n):
                    drive, v = signals[x + j], state[s + j]
                    counters[i, 0] += drive != zero
                    u = v + (constants[c + n + j] * drive - v + constants[c + 2 * n + j]) * constants[c + j]
                    if u > constants[c + 4 * n + j]:
                        events[e + count] = j
                        count += 1
                        signals[y + j] = one
                        state[s + j] = constants[c + 3 * n + j]
                    else:
                        signals[y + j] = zero
                        state[s + j] = u
                lengths[e] = count
                counters[i, 1] += count
                if raster.shape[0]:
                    for k in range(count):
                        raster[t, e + events[e + k]] = 1
            elif op == SCALE:
                for j in range(n):
                    signals[y + j] = signals[x + j] * constants[c + j]
            elif op == COPY:
                for j in range(n):
                    signals[y + j] = signals[x + j]
            elif op == ADD:
                for j in range(n):
                    signals[y + j] += signals[x + j]
            elif op == LAYER_NORM:
                mean, square = zero, zero
                for j in range(n):
                    mean += signals[x + j]
                mean /= np.float32(n)
                for j in range(n):
                    square += (signals[x + j] - mean) * (signals[x + j] - mean)
                inverse = one / np.sqrt(square / np.float32(n) + constants[c + 2 * n])
                for j in range(n):
                    signals[y + j] = (signals[x + j] - mean) * inverse * constants[c + j] + constants[c + n + j]
            elif op == WKV:
                for j in range(n):
                    k, v = signals[x + j], signals[x + n + j]
                    a, b, p = state[s + j], state[s + n + j], state[s + 2 * n + j]
                    now = constants[c + n + j] + k
                    q = max(p, now)
                    e1, e2 = np.exp(p - q), np.exp(now - q)
                    signals[y + j] = (e1 * a + e2 * v) / (e1 * b + e2)
                    decayed = p + constants[c + j]
                    q = max(decayed, k)
                    e1, e2 = np.exp(decayed - q), np.exp(k - q)
                    state[s + j], state[s + n + j], state[s + 2 * n + j] = e1 * a + e2 * v, e1 * b + e2, q
            elif op == SIGMOID:
                for j in range(n):
                    signals[y + j] = one / (one + np.exp(-signals[x + j]))
            elif op == MULTIPLY:
                for j in range(n):
                    signals[y + j] = signals[x + j] * signals[x + n + j]
            elif op == SQUARED_RELU:
                for j in range(n):
                    positive = max(signals[x + j], zero)
                    signals[y + j] = positive * positive
            elif op == DELAY_READ:
                for j in range(n):
                    signals[y + j] = state[s + j]
            elif op == DELAY_WRITE:
                for j in range(n):
                    state[s + j] = signals[x + j]
            elif op == EMBED:
                for j in range(n):
                    signals[y + j] = constants[c + tokens[t] * n + j]
            elif op == OUTPUT:
                for j in range(n):
                    logits[t, j] = signals[x + j]


@njit(cache=True)
def _shift_right(x, bits):
    return (x + (1 << bits >> 1)) >> bits


_integer_root = njit(cache=True, error_model="numpy")(fp.integer_root)


@njit(cache=True)
def _sigmoid(x):
    size = min(abs(x), (len(fp.SIGMOID_TABLE) - 1 << fp.TABLE_BITS) - 1)
    i, rest = size >> fp.TABLE_BITS, size & ((1 << fp.TABLE_BITS) - 1)
    y = fp.SIGMOID_TABLE[i] + ((fp.SIGMOID_TABLE[i + 1] - fp.SIGMOID_TABLE[i]) * rest >> fp.TABLE_BITS)
    y = _shift_right(y, 15 - FRACTION_BITS)
    return UNIT - y if x < 0 else y


@njit(cache=True)
def _exp2_negative(x):
    low_bits = fp.EXPONENT_BITS - fp.TABLE_BITS
    fraction = x & ((1 << fp.EXPONENT_BITS) - 1)
    i, rest = fraction >> low_bits, fraction & ((1 << low_bits) - 1)
    drop = (fp.EXP2_TABLE[i] - fp.EXP2_TABLE[i + 1]) * rest >> low_bits
    return (fp.EXP2_TABLE[i] - drop) >> min(x >> fp.EXPONENT_BITS, 63)


@njit(cache=True, error_model="numpy")
def _wkv(k, v, a, b, p, decay, bonus):
    k, v = _shift_right(k * fp.LOG2_E, FRACTION_BITS), v << fp.GUARD_BITS
    now = bonus + k
    q = max(p, now)
    e1, e2 = _exp2_negative(q - p), _exp2_negative(q - now)
    top = _shift_right(e1 * a + e2 * v, fp.WEIGHT_BITS)
    bottom = _shift_right(e1 * b, fp.WEIGHT_BITS) + e2
    y = ((top << fp.WEIGHT_BITS - fp.GUARD_BITS) + (bottom >> 1)) // bottom
    q = max(p + decay, k)
    e1, e2 = _exp2_negative(q - p - decay), _exp2_negative(q - k)
    new_a = _shift_right(e1 * a + e2 * v, fp.WEIGHT_BITS)
    new_b = _shift_right(e1 * b, fp.WEIGHT_BITS) + e2
    if new_b >= 2 << fp.WEIGHT_BITS:
        new_a, new_b, q = (new_a + 1) >> 1, new_b >> 1, q + (1 << fp.EXPONENT_BITS)
    return y, max(-fp.NUMERATOR_LIMIT, min(fp.NUMERATOR_LIMIT, new_a)), new_b, q


@njit(cache=True, error_model="numpy")
def run_integer(table, weights, constants, state, signals, events, lengths, tokens, logits, counters, raster):
    accumulator = np.zeros(max(table[:, 4]), np.int32)
    wide = np.zeros(max(table[:, 4]), np.int64)
    for t in range(tokens.size):
        for i in range(table.shape[0]):
            op, x, y, n_in, n = table[i, 0], table[i, 1], table[i, 2], table[i, 3], table[i, 4]
            w, c, s, e, shift = table[i, 5], table[i, 6], table[i, 7], table[i, 8], table[i, 9]
            if op == EVENTS:
                counters[i, 0] += lengths[e]
                _gather_events(weights, w, n, events, e, lengths[e], accumulator)
                for j in range(n):
                    signals[y + j] = accumulator[j]
            elif op == DENSE:
                for j in range(n):
                    wide[j] = 0
                for k in range(n_in):
                    value = signals[x + k]
                    if value != 0:
                        counters[i, 0] += 1
                        row = w + k * n
                        for j in range(n):
                            wide[j] += value * np.int64(weights[row + j])
                for j in range(n):
                    signals[y + j] = wide[j]
            elif op == LIF:
                count = 0
                for j in range(n):
                    drive = signals[x + j]
                    counters[i, 0] += drive != 0
                    kept = state[s + j] * ((1 << DECAY_BITS) - np.int64(constants[c + j]))
                    kept = kept >> DECAY_BITS if kept >= 0 else -(-kept >> DECAY_BITS)
                    v = kept + (max(-INPUT_LIMIT, min(INPUT_LIMIT, drive)) << CURRENT_SHIFT)
                    v = max(-MEMBRANE_LIMIT, min(MEMBRANE_LIMIT, v))
                    if v > np.int64(constants[c + n + j]) << CURRENT_SHIFT:
                        events[e + count] = j
                        count += 1
                        signals[y + j] = UNIT
                        state[s + j] = 0
                    else:
                        signals[y + j] = 0
                        state[s + j] = v
                lengths[e] = count
                counters[i, 1] += count
                if raster.shape[0]:
                    for k in range(count):
                        raster[t, e + events[e + k]] = 1
            elif op == SCALE:
                for j in range(n):
                    product = signals[x + j] * np.int64(constants[c + j])
                    signals[y + j] = (product + (1 << shift >> 1)) >> shift
            elif op == COPY:
                for j in range(n):
                    signals[y + j] = signals[x + j]
            elif op == ADD:
                for j in range(n):
                    signals[y + j] += signals[x + j]
            elif op == LAYER_NORM:
                total, square = 0, 0
                for j in range(n):
                    total += max(-fp.NORM_INPUT_LIMIT, min(fp.NORM_INPUT_LIMIT, signals[x + j]))
                mean = (total + n // 2) // n
                for j in range(n):
                    wide[j] = max(-fp.NORM_INPUT_LIMIT, min(fp.NORM_INPUT_LIMIT, signals[x + j])) - mean
                    square += wide[j] * wide[j]
                variance = (square + n // 2) // n + np.int64(constants[c + 2 * n])
                inverse = (1 << fp.INVERSE_BITS) // _integer_root(max(variance, 1) << 2 * fp.ROOT_BITS)
                for j in range(n):
                    normal = _shift_right(wide[j] * inverse, fp.INVERSE_BITS - fp.ROOT_BITS - fp.NORM_BITS)
                    product = normal * np.int64(constants[c + j])
                    scaled = _shift_right(product, fp.NORM_BITS + fp.GAIN_BITS - FRACTION_BITS)
                    signals[y + j] = scaled + np.int64(constants[c + n + j])
            elif op == WKV:
                for j in range(n):
                    decay, bonus = np.int64(constants[c + j]), np.int64(constants[c + n + j])
                    a, b, p = state[s + j], state[s + n + j], state[s + 2 * n + j]
                    signals[y + j], state[s + j], state[s + n + j], state[s + 2 * n + j] = _wkv(
                        signals[x + j], signals[x + n + j], a, b, p, decay, bonus
                    )
            elif op == SIGMOID:
                for j in range(n):
                    signals[y + j] = _sigmoid(signals[x + j])
            elif op == MULTIPLY:
                for j in range(n):
                    signals[y + j] = (signals[x + j] * signals[x + n + j] + HALF) >> FRACTION_BITS
            elif op == SQUARED_RELU:
                for j in range(n):
                    positive = max(signals[x + j], 0)
                    signals[y + j] = (positive * positive + HALF) >> FRACTION_BITS
            elif op == DELAY_READ:
                for j in range(n):
                    signals[y + j] = state[s + j]
            elif op == DELAY_WRITE:
                for j in range(n):
                    state[s + j] = signals[x + j]
            elif op == EMBED:
                for j in range(n):
                    signals[y + j] = np.int64(constants[c + tokens[t] * n + j])
            elif op == OUTPUT:
                for j in range(n):
                    logits[t, j] = signals[x + j]
