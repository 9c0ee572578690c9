"""The kernels with memory along time, LIF and WKV, on a GPU: one Triton program for a stream and BLOCK of its channels.

What the loops of `reference.py` compute, token after token with the state in registers. WKV reads its inputs some
tokens ahead, so that a step waits for arithmetic and not for memory. Backward passes follow `wkv.py` and `lif.py`.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from spikegpt import config
from spikegpt.kernels.reference import ATAN_ALPHA, SLOPE

BLOCK = 32  # channels a program: one warp
WKV_START = tl.constexpr(config.WKV_START)


@triton.jit
def _pair(d):
    """(e^{x - max(x, y)}, e^{y - max(x, y)}) for d = x - y: one of them is always 1."""
    e = tl.exp(-tl.abs(d))
    return tl.where(d > 0, 1.0, e), tl.where(d > 0, e, 1.0)


@triton.jit
def _wkv_forward(w, u, k, v, state, y, past, end, n_batch, n_time, n_chan, BLOCK: tl.constexpr):
    b, c = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = c < n_chan
    w_c, u_c = tl.load(w + c, inside, 0.0), tl.load(u + c, inside, 0.0)
    plane = n_batch * n_chan
    at = b * n_chan + c
    a = tl.load(state + at, inside, 0.0)
    n = tl.load(state + plane + at, inside, 0.0)
    p = tl.load(state + 2 * plane + at, inside, 0.0)
    row = b * n_time * n_chan + c
    planes = n_batch * n_time * n_chan
    k_0, v_0 = tl.load(k + row, inside, 0.0), tl.load(v + row, inside, 0.0)
    k_1 = tl.load(k + row + n_chan, inside & (n_time > 1), 0.0)
    v_1 = tl.load(v + row + n_chan, inside & (n_time > 1), 0.0)
    k_2 = tl.load(k + row + 2 * n_chan, inside & (n_time > 2), 0.0)
    v_2 = tl.load(v + row + 2 * n_chan, inside & (n_time > 2), 0.0)
    for t in range(n_time):
        ahead = inside & (t + 3 < n_time)
        k_3, v_3 = tl.load(k + row + 3 * n_chan, ahead, 0.0), tl.load(v + row + 3 * n_chan, ahead, 0.0)
        tl.store(past + row, a, inside)
        tl.store(past + planes + row, n, inside)
        tl.store(past + 2 * planes + row, p, inside)
        e1, e2 = _pair(p - (u_c + k_0))
        tl.store(y + row, (e1 * a + e2 * v_0) / (e1 * n + e2), inside)
        decayed = p + w_c
        e1, e2 = _pair(decayed - k_0)
        a, n, p = e1 * a + e2 * v_0, e1 * n + e2, tl.maximum(decayed, k_0)
        k_0, k_1, k_2, v_0, v_1, v_2 = k_1, k_2, k_3, v_1, v_2, v_3
        row += n_chan
    tl.store(end + at, a, inside)
    tl.store(end + plane + at, n, inside)
    tl.store(end + 2 * plane + at, p, inside)


@triton.jit
def _wkv_backward(
    w, u, k, v, past, grad_y, grad_w, grad_u, grad_k, grad_v, n_batch, n_time, n_chan, BLOCK: tl.constexpr
):
    b, c = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = c < n_chan
    w_c, u_c = tl.load(w + c, inside, 0.0), tl.load(u + c, inside, 0.0)
    planes = n_batch * n_time * n_chan
    row = (b * n_time + n_time - 1) * n_chan + c
    r = w_c * 0 + WKV_START
    ga, gn, gw, gu = w_c * 0, w_c * 0, w_c * 0, w_c * 0
    k_0, v_0, g_0 = tl.load(k + row, inside, 0.0), tl.load(v + row, inside, 0.0), tl.load(grad_y + row, inside, 0.0)
    a_0, n_0 = tl.load(past + row, inside, 0.0), tl.load(past + planes + row, inside, 0.0)
    p_0 = tl.load(past + 2 * planes + row, inside, 0.0)
    for step in range(n_time):
        before = inside & (step + 1 < n_time)
        k_1 = tl.load(k + row - n_chan, before, 0.0)
        v_1 = tl.load(v + row - n_chan, before, 0.0)
        g_1 = tl.load(grad_y + row - n_chan, before, 0.0)
        a_1 = tl.load(past + row - n_chan, before, 0.0)
        n_1 = tl.load(past + planes + row - n_chan, before, 0.0)
        p_1 = tl.load(past + 2 * planes + row - n_chan, before, 0.0)
        now = u_c + k_0
        q = tl.maximum(p_0, now)
        e1, e2 = _pair(p_0 - now)
        scale = 1.0 / (e1 * n_0 + e2)
        y = (e1 * a_0 + e2 * v_0) * scale
        direct = g_0 * scale
        through_k = tl.exp(tl.minimum(k_0 + r, 0.0))
        through_w = tl.exp(tl.minimum(w_c + r + p_0, 0.0))
        bonus = direct * e2 * (v_0 - y)
        gw += through_w * (ga * a_0 + gn * n_0)
        gu += bonus
        tl.store(grad_k + row, bonus + through_k * (ga * v_0 + gn), inside)
        tl.store(grad_v + row, direct * e2 + through_k * ga, inside)
        e1, e2 = _pair(w_c + r + q)
        ga, gn = e1 * ga + e2 * direct, e1 * gn - e2 * direct * y
        r = tl.maximum(w_c + r, -q)
        k_0, v_0, g_0, a_0, n_0, p_0 = k_1, v_1, g_1, a_1, n_1, p_1
        row -= n_chan
    tl.store(grad_w + b * n_chan + c, gw, inside)
    tl.store(grad_u + b * n_chan + c, gu, inside)


@triton.jit
def _lif_forward(x, v, spikes, past, end, inv_tau, threshold, n_time, n_chan, BLOCK: tl.constexpr):
    r, c = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = c < n_chan
    m = tl.load(v + r * n_chan + c, inside, 0.0)
    row = r * n_time * n_chan + c
    for _ in range(n_time):
        m += (tl.load(x + row, inside, 0.0) - m) * inv_tau
        fires = m >= threshold
        tl.store(past + row, m, inside)
        tl.store(spikes + row, tl.where(fires, 1.0, 0.0), inside)
        m = tl.where(fires, 0.0, m)
        row += n_chan
    tl.store(end + r * n_chan + c, m, inside)


@triton.jit
def _lif_backward(past, grad_s, grad_x, inv_tau, threshold, slope, height, n_time, n_chan, BLOCK: tl.constexpr):
    r, c = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = c < n_chan
    row = (r * n_time + n_time - 1) * n_chan + c
    g = tl.zeros([BLOCK], past.dtype.element_ty)  # of the membrane behind this token
    for _ in range(n_time):
        m = tl.load(past + row, inside, 0.0)
        z = slope * (m - threshold)
        # s = H(m), and m (1 - s) is carried: the reset is not detached
        g = g * tl.where(m >= threshold, 0.0, 1.0) + (tl.load(grad_s + row, inside, 0.0) - g * m) * height / (1 + z * z)
        tl.store(grad_x + row, g * inv_tau, inside)
        g = g * (1 - inv_tau)
        row -= n_chan


def _grid(rows: int, n_chan: int) -> tuple[int, int]:
    return rows, triton.cdiv(n_chan, BLOCK)


class WKV(torch.autograd.Function):
    """`wkv` of k, v (B, T, C)."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        w, u, k, v, state = (t.contiguous() for t in (w, u, k, v, state))
        y, end, past = torch.empty_like(k), torch.empty_like(state), k.new_empty(3, *k.shape)
        n_batch, n_time, n_chan = k.shape
        _wkv_forward[_grid(n_batch, n_chan)](
            w, u, k, v, state, y, past, end, n_batch, n_time, n_chan, BLOCK=BLOCK, num_warps=1
        )
        ctx.save_for_backward(w, u, k, v, past)
        ctx.mark_non_differentiable(end)
        return y, end

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        w, u, k, v, past = ctx.saved_tensors
        n_batch, n_time, n_chan = k.shape
        grad_w, grad_u = (w.new_empty(n_batch, n_chan) for _ in range(2))
        grad_k, grad_v = torch.empty_like(k), torch.empty_like(v)
        operands = w, u, k, v, past, grad_y.contiguous(), grad_w, grad_u, grad_k, grad_v
        _wkv_backward[_grid(n_batch, n_chan)](*operands, n_batch, n_time, n_chan, BLOCK=BLOCK, num_warps=1)
        return grad_w.sum(0), grad_u.sum(0), grad_k, grad_v, None


class LIF(torch.autograd.Function):
    """`lif` of x (R, T, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, v: Tensor, tau: float, threshold: float) -> tuple[Tensor, Tensor]:
        x, v = x.contiguous(), v.contiguous()
        spikes, past, end = torch.empty_like(x), torch.empty_like(x), torch.empty_like(v)
        rows, n_time, n_chan = x.shape
        _lif_forward[_grid(rows, n_chan)](
            x, v, spikes, past, end, 1 / tau, threshold, n_time, n_chan, BLOCK=BLOCK, num_warps=1
        )
        ctx.save_for_backward(past)
        ctx.constants = 1 / tau, threshold, SLOPE, ATAN_ALPHA / 2
        ctx.mark_non_differentiable(end)
        return spikes, end

    @staticmethod
    def backward(ctx: Any, grad_s: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (past,) = ctx.saved_tensors
        rows, n_time, n_chan = past.shape
        grad_x = torch.empty_like(past)
        _lif_backward[_grid(rows, n_chan)](
            past, grad_s.contiguous(), grad_x, *ctx.constants, n_time, n_chan, BLOCK=BLOCK, num_warps=1
        )
        return grad_x, None, None, None
