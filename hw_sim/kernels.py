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
FRACTION_BITS, ONE, SUM_UNIT = fp.FRACTION_BITS, float(fp.ONE), float(1 << fp.SUM_BITS)
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
                mean, square = 0.0, 0.0
                for j in range(n):
                    mean += signals[x + j] / ONE
                mean /= n
                for j in range(n):
                    centred = signals[x + j] / ONE - mean
                    square += centred * centred
                inverse = 1.0 / np.sqrt(square / n + constants[c + 2 * n])
                for j in range(n):
                    real = (signals[x + j] / ONE - mean) * inverse * constants[c + j] + constants[c + n + j]
                    signals[y + j] = np.int64(np.floor(real * ONE + 0.5))
            elif op == WKV:
                for j in range(n):
                    k, v = signals[x + j], signals[x + n + j] / ONE
                    a, b, p = state[s + j] / SUM_UNIT, state[s + n + j] / SUM_UNIT, state[s + 2 * n + j]
                    now = np.int64(constants[c + n + j]) + k
                    q = max(p, now)
                    e1, e2 = np.exp((p - q) / ONE), np.exp((now - q) / ONE)
                    signals[y + j] = np.int64(np.floor((e1 * a + e2 * v) / (e1 * b + e2) * ONE + 0.5))
                    decayed = p + np.int64(constants[c + j])
                    q = max(decayed, k)
                    e1, e2 = np.exp((decayed - q) / ONE), np.exp((k - q) / ONE)
                    state[s + j] = np.int64(np.floor((e1 * a + e2 * v) * SUM_UNIT + 0.5))
                    state[s + n + j] = np.int64(np.floor((e1 * b + e2) * SUM_UNIT + 0.5))
                    state[s + 2 * n + j] = q
            elif op == SIGMOID:
                for j in range(n):
                    signals[y + j] = np.int64(np.floor(1.0 / (1.0 + np.exp(-(signals[x + j] / ONE))) * ONE + 0.5))
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
