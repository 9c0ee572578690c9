"""The compiled loop of a float32 plan: `hw_sim.plan.ops` in float32, up to the order of sums.

Every function writes y; those that keep something write their state too.
"""

import numpy as np
from numba import njit

from hw_sim.plan import Op
from hw_sim.plan.ops.spatial import Geometry
from hw_sim.run.mailbox import give, put, take, widest
from hw_sim.run.matrices import dense_float, events_float, sparse
from hw_sim.run.windows import windowed
from spikegpt.fastmath import exp_nonpositive

ONE, ZERO, LARGEST = np.float32(1), np.float32(0), np.finfo(np.float32).max
WINDOW = len(Geometry._fields)  # constants that a window takes


@njit(cache=True, error_model="numpy", nogil=True)
def _lif(x, rate, r, v_leak, v_reset, v_threshold, v, spikes, fired, events, y):
    """Returns neurons with input, neurons whose membrane is not finite, and spikes.

    `fired` counts spikes by neuron, their addresses go to `events`.
    """
    driven, faults = 0, 0
    for j in range(y.size):
        drive = x[j]
        driven += drive != ZERO
        u = v[j] + (r[j] * drive - v[j] + v_leak[j]) * rate[j]
        spike = u > v_threshold[j]
        spikes[j] = spike
        fired[j] += spike
        faults += not abs(u) <= LARGEST
        y[j] = ONE if spike else ZERO
        v[j] = v_reset[j] if spike else u
    count = 0
    for j in range(y.size):  # without a branch: which neurons fire cannot be predicted
        events[count] = j
        count += spikes[j]
    return driven, faults, count


@njit(cache=True, error_model="numpy", nogil=True)
def _fire(x, v_threshold, v, spikes, fired, events, y):
    """A memoryless population, one comparison a neuron; returns what `_lif` does. `v` is left to be looked at."""
    driven, faults = 0, 0
    for j in range(y.size):
        u = x[j]
        driven += u != ZERO
        spike = u > v_threshold[j]
        spikes[j] = spike
        fired[j] += spike
        faults += not abs(u) <= LARGEST
        y[j] = ONE if spike else ZERO
        v[j] = ZERO if spike else u
    count = 0
    for j in range(y.size):
        events[count] = j
        count += spikes[j]
    return driven, faults, count


@njit(cache=True, error_model="numpy", nogil=True)
def _integrate_and_fire(x, r, v_reset, v_threshold, v, spikes, fired, events, y):
    """Returns what `_lif` does."""
    driven, faults = 0, 0
    for j in range(y.size):
        driven += x[j] != ZERO
        u = v[j] + r[j] * x[j]
        spike = u > v_threshold[j]
        spikes[j] = spike
        fired[j] += spike
        faults += not abs(u) <= LARGEST
        y[j] = ONE if spike else ZERO
        v[j] = v_reset[j] if spike else u
    count = 0
    for j in range(y.size):
        events[count] = j
        count += spikes[j]
    return driven, faults, count


@njit(cache=True, error_model="numpy", nogil=True, fastmath={"reassoc", "contract"})
def _bare_norm(x, eps, y):
    """Normalise x (n,)."""
    mean, square, width = ZERO, ZERO, np.float32(x.size)
    for j in range(x.size):
        mean += x[j]
    mean /= width
    for j in range(x.size):
        square += (x[j] - mean) * (x[j] - mean)
    inverse = ONE / np.sqrt(square / width + eps)
    for j in range(y.size):
        y[j] = (x[j] - mean) * inverse


@njit(cache=True, error_model="numpy", nogil=True, fastmath={"reassoc", "contract"})
def _layer_norm(x, weight, bias, eps, y):
    """Normalise x (n,), then weight and bias."""
    _bare_norm(x, eps, y)
    for j in range(y.size):
        y[j] = y[j] * weight[j] + bias[j]


@njit(cache=True, error_model="numpy", nogil=True)
def _wkv(key, value, decay, bonus, a, b, p, y):
    for j in range(y.size):
        k, v = key[j], value[j]
        lead = p[j] - (bonus[j] + k)
        past, e = lead > ZERO, exp_nonpositive(-abs(lead))  # the weight of the lesser term; that of the greater is 1
        top = (a[j] if past else v) + e * (v if past else a[j])
        y[j] = top / ((b[j] if past else ONE) + e * (ONE if past else b[j]))
        decayed = p[j] + decay[j]
        lead = decayed - k
        past, e = lead > ZERO, exp_nonpositive(-abs(lead))
        a[j] = (a[j] if past else v) + e * (v if past else a[j])
        b[j] = (b[j] if past else ONE) + e * (ONE if past else b[j])
        p[j] = max(decayed, k)


@njit(cache=True, error_model="numpy", nogil=True)
def _sigmoid(x, y):
    for j in range(y.size):
        small = exp_nonpositive(-abs(x[j]))
        y[j] = (ONE if x[j] >= ZERO else small) / (ONE + small)


@njit(cache=True, error_model="numpy", nogil=True)
def run_float(
    table, weights, constants, state, signals, events, lengths, tokens, logits, counters, fired, raster, stage, done,
    incoming, inbox, outgoing, outbox, sums
):  # fmt: skip
    """Feed tokens (T,) through rows of a table, as one stage of a pipeline; buffers: `hw_sim.run.pipeline`.

    `sums` (widest,) is scratch of windows, None where the plan has none."""
    spikes = np.zeros(widest(table), np.uint8)
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
                events_float(weights[w : w + n_in * n], active, y)
            elif op == Op.LIF and table[i, 9]:
                driven, faults, lengths[e] = _fire(
                    x, constants[c : c + n], state[s : s + n], spikes[:n], fired[e : e + n], events[e : e + n], y
                )
                counters[i, 0] += driven
                counters[i, 1] += faults
                if raster.shape[0]:
                    put(raster[t], e, spikes[:n])
            elif op == Op.LIF:
                driven, faults, lengths[e] = _lif(
                    x, constants[c : c + n], constants[c + n : c + 2 * n],
                    constants[c + 2 * n : c + 3 * n], constants[c + 3 * n : c + 4 * n],
                    constants[c + 4 * n : c + 5 * n], state[s : s + n], spikes[:n],
                    fired[e : e + n], events[e : e + n], y,
                )  # fmt: skip
                counters[i, 0] += driven
                counters[i, 1] += faults
                if raster.shape[0]:
                    put(raster[t], e, spikes[:n])
            elif op == Op.IF:
                driven, faults, lengths[e] = _integrate_and_fire(
                    x, constants[c : c + n], constants[c + n : c + 2 * n], constants[c + 2 * n : c + 3 * n],
                    state[s : s + n], spikes[:n], fired[e : e + n], events[e : e + n], y,
                )  # fmt: skip
                counters[i, 0] += driven
                counters[i, 1] += faults
                if raster.shape[0]:
                    put(raster[t], e, spikes[:n])
            elif op == Op.CONV_EVENTS or op == Op.CONV or op == Op.POOL:
                number, done_now = windowed(op, weights[w:], constants[c:], events[e : e + lengths[e]], x, sums, y)
                counters[i, 0] += number
                counters[i, 1] += done_now
                if op == Op.POOL and table[i, 9]:
                    for j in range(y.size):
                        y[j] *= constants[c + WINDOW]
            elif op == Op.LI and table[i, 9]:
                for j in range(y.size):
                    y[j] = state[s + j] + constants[c + j] * x[j]
                    state[s + j] = y[j]
            elif op == Op.LI:
                for j in range(y.size):
                    v = state[s + j]
                    y[j] = v + (constants[c + n + j] * x[j] - v + constants[c + 2 * n + j]) * constants[c + j]
                    state[s + j] = y[j]
            elif op == Op.OFFSET:
                for j in range(y.size):
                    y[j] = x[j] + constants[c + j]
            elif op == Op.SCALE:
                for j in range(y.size):
                    y[j] = x[j] * constants[c + j]
            elif op == Op.ADD:
                for j in range(y.size):
                    y[j] = x[j] + z[j]
            elif op == Op.DENSE:
                counters[i, 0] += dense_float(weights[w : w + n_in * n], x, y)
            elif op == Op.SPARSE:
                counters[i, 0] += sparse(weights[w : w + n_in * n], x, y)
            elif op == Op.LAYER_NORM and table[i, 9]:
                _bare_norm(x, constants[c], y)
            elif op == Op.LAYER_NORM:
                _layer_norm(x, constants[c : c + n], constants[c + n : c + 2 * n], constants[c + 2 * n], y)
            elif op == Op.WKV:
                _wkv(
                    x, z, constants[c : c + n], constants[c + n : c + 2 * n], state[s : s + n],
                    state[s + n : s + 2 * n], state[s + 2 * n : s + 3 * n], y,
                )  # fmt: skip
            elif op == Op.SIGMOID:
                _sigmoid(x, y)
            elif op == Op.MULTIPLY:
                for j in range(y.size):
                    y[j] = x[j] * z[j]
            elif op == Op.SQUARED_RELU:
                for j in range(y.size):
                    positive = ZERO if x[j] <= ZERO else x[j]  # NaN stays NaN
                    y[j] = positive * positive
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
                put(y, 0, constants[c + tokens[t] * n : c + (tokens[t] + 1) * n])
            elif op == Op.OUTPUT:
                put(logits[t], 0, x)
        give(stage, done, t, outgoing, outbox, signals)
