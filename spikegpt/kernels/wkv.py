"""WKV, the linear attention of RWKV-4 (arXiv 2305.13048), in its numerically stable recurrent form.

y_t = (sum_{i<t} e^{(t-1-i) w + k_i} v_i + e^{u + k_t} v_t) / (the same sums with v = 1), carried as (a, b, p) with
a running maximum p. Chunks of channels are copied into one scratch row: LLVM then knows that nothing aliases and
vectorises the arithmetic.
"""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from spikegpt.config import WKV_START
from spikegpt.fastmath import TINY, exp_nonpositive
from spikegpt.kernels import threads
from spikegpt.kernels.reference import wkv_loop

CHUNK = 64


@njit
def _pair(d, one):
    """(e^{x - max(x, y)}, e^{y - max(x, y)}) for d = x - y: one of them is always 1 (given in the right precision)."""
    e = exp_nonpositive(-abs(d))
    return (one if d > 0 else e), (e if d > 0 else one)


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(w, u, k, v, state, y):
    n_batch, n_time, n_chan = k.shape
    n_chunks = (n_chan + CHUNK - 1) // CHUNK
    one = k.dtype.type(1)
    for job in prange(n_batch * n_chunks):
        b, low = job // n_chunks, job % n_chunks * CHUNK
        width = min(CHUNK, n_chan - low)
        s = np.zeros(8 * CHUNK, k.dtype)  # rows: a, b, p, w, u, k, v, y
        for c in range(width):
            for i in range(3):
                s[i * CHUNK + c] = state[i, b, low + c]
            s[3 * CHUNK + c] = w[low + c]
            s[4 * CHUNK + c] = u[low + c]
        for t in range(n_time):
            for c in range(width):
                s[5 * CHUNK + c] = k[b, t, low + c]
            for c in range(width):
                s[6 * CHUNK + c] = v[b, t, low + c]
            for c in range(CHUNK):
                p, k_t, v_t = s[2 * CHUNK + c], s[5 * CHUNK + c], s[6 * CHUNK + c]
                e1, e2 = _pair(p - (s[4 * CHUNK + c] + k_t), one)
                s[7 * CHUNK + c] = (e1 * s[c] + e2 * v_t) / (e1 * s[CHUNK + c] + e2)
                decayed = p + s[3 * CHUNK + c]
                e1, e2 = _pair(decayed - k_t, one)
                s[c] = e1 * s[c] + e2 * v_t
                s[CHUNK + c] = e1 * s[CHUNK + c] + e2
                s[2 * CHUNK + c] = max(decayed, k_t)
            for c in range(width):
                y[b, t, low + c] = s[7 * CHUNK + c]
        for c in range(width):
            for i in range(3):
                state[i, b, low + c] = s[i * CHUNK + c]


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(w, u, k, v, state, grad_y, grad_w, grad_u, grad_k, grad_v):
    # True gradients of the sums are ga * e^r and gb * e^r; r is a running maximum of -q, so no exponent is positive.
    n_batch, n_time, n_chan = k.shape
    n_chunks = (n_chan + CHUNK - 1) // CHUNK
    one, zero, tiny = k.dtype.type(1), k.dtype.type(0), k.dtype.type(TINY)
    for job in prange(n_batch * n_chunks):
        b, low = job // n_chunks, job % n_chunks * CHUNK
        width = min(CHUNK, n_chan - low)
        past = np.zeros((n_time + 1, 3 * CHUNK), k.dtype)  # a, b, p before every token
        s = np.zeros(15 * CHUNK, k.dtype)  # a, b, p, w, u, k, v, gy, ga, gb, r, gw, gu, gk, gv
        for c in range(width):
            for i in range(3):
                past[0, i * CHUNK + c] = state[i, b, low + c]
            s[3 * CHUNK + c] = w[low + c]
            s[4 * CHUNK + c] = u[low + c]
            s[10 * CHUNK + c] = WKV_START
        for t in range(n_time):
            for c in range(width):
                s[5 * CHUNK + c] = k[b, t, low + c]
            for c in range(width):
                s[6 * CHUNK + c] = v[b, t, low + c]
            for c in range(3 * CHUNK):
                s[c] = past[t, c]
            for c in range(CHUNK):
                decayed = s[2 * CHUNK + c] + s[3 * CHUNK + c]
                k_t = s[5 * CHUNK + c]
                e1, e2 = _pair(decayed - k_t, one)
                s[c] = e1 * s[c] + e2 * s[6 * CHUNK + c]
                s[CHUNK + c] = e1 * s[CHUNK + c] + e2
                s[2 * CHUNK + c] = max(decayed, k_t)
            for c in range(3 * CHUNK):
                past[t + 1, c] = s[c]
        for step in range(n_time):
            t = n_time - 1 - step
            for c in range(width):
                s[5 * CHUNK + c] = k[b, t, low + c]
            for c in range(width):
                s[6 * CHUNK + c] = v[b, t, low + c]
            for c in range(width):
                s[7 * CHUNK + c] = grad_y[b, t, low + c]
            for c in range(3 * CHUNK):
                s[c] = past[t, c]
            for c in range(CHUNK):
                p, w_c, k_t, v_t = s[2 * CHUNK + c], s[3 * CHUNK + c], s[5 * CHUNK + c], s[6 * CHUNK + c]
                now = s[4 * CHUNK + c] + k_t
                q = max(p, now)
                e1, e2 = _pair(p - now, one)
                scale = one / (e1 * s[CHUNK + c] + e2)
                y = (e1 * s[c] + e2 * v_t) * scale
                direct = s[7 * CHUNK + c] * scale  # gradient of the numerator, in units of e^-q
                ga, gb, r = s[8 * CHUNK + c], s[9 * CHUNK + c], s[10 * CHUNK + c]
                through_k = exp_nonpositive(min(k_t + r, zero))
                through_w = exp_nonpositive(min(w_c + r + p, zero))
                bonus = direct * e2 * (v_t - y)
                s[11 * CHUNK + c] += through_w * (ga * s[c] + gb * s[CHUNK + c])
                s[12 * CHUNK + c] += bonus
                s[13 * CHUNK + c] = bonus + through_k * (ga * v_t + gb)
                s[14 * CHUNK + c] = direct * e2 + through_k * ga
                e1, e2 = _pair(w_c + r + q, one)
                ga, gb = e1 * ga + e2 * direct, e1 * gb - e2 * direct * y
                s[8 * CHUNK + c] = ga if abs(ga) > tiny else zero
                s[9 * CHUNK + c] = gb if abs(gb) > tiny else zero
                s[10 * CHUNK + c] = max(w_c + r, -q)
            for c in range(width):
                grad_k[b, t, low + c] = s[13 * CHUNK + c]
            for c in range(width):
                grad_v[b, t, low + c] = s[14 * CHUNK + c]
        for c in range(width):
            grad_w[b, low + c] = s[11 * CHUNK + c]
            grad_u[b, low + c] = s[12 * CHUNK + c]


class _WKV(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor):
        threads.start()
        w, u, k, v = (t.contiguous() for t in (w, u, k, v))
        ctx.save_for_backward(w, u, k, v, state)
        state = state.clone(memory_format=torch.contiguous_format)
        y = torch.empty_like(k)
        _forward(w.numpy(), u.numpy(), k.numpy(), v.numpy(), state.numpy(), y.numpy())
        ctx.mark_non_differentiable(state)
        return y, state

    @staticmethod
    def backward(ctx, grad_y: Tensor, _):
        w, u, k, v, state = ctx.saved_tensors
        grad_w, grad_u = (w.new_empty(k.shape[0], k.shape[2]) for _ in range(2))
        grad_k, grad_v = torch.empty_like(k), torch.empty_like(v)
        _backward(
            *(t.contiguous().numpy() for t in (w, u, k, v, state, grad_y)),
            *(t.numpy() for t in (grad_w, grad_u, grad_k, grad_v)),
        )
        return grad_w.sum(0), grad_u.sum(0), grad_k, grad_v, None


def wkv(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted key-value average of RWKV-4.

    w (C,) negative log-decay per token, u (C,) bonus of the current token, k and v (B, T, C),
    state (3, B, C) = (a, b, p), carried but not differentiated; it starts at (0, 0, WKV_START).
    Returns y (B, T, C) and the new state (3, B, C).
    """
    if torch.compiler.is_exporting():
        return wkv_loop(w, u, k, v, state)
    if k.device.type != "cpu":
        from spikegpt.kernels.gpu import WKV  # Triton comes with PyTorch's builds for GPUs alone

        return WKV.apply(w, u, k, v, state.detach())
    return _WKV.apply(w, u, k, v, state.detach())
