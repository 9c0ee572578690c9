"""Leaky integrate-and-fire along time, reset to zero, with the ATan surrogate and a reset that is not detached."""

import math

import torch
from numba import njit, prange
from torch import Tensor

from spikegpt.kernels.reference import ATAN_ALPHA, lif_loop

CHUNK = 128  # channels a job: a membrane row stays in the first-level cache
SLOPE = math.pi / 2 * ATAN_ALPHA


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(x, v, inv_tau, threshold, spikes, u):
    n_rows, n_time, n_chan = x.shape
    n_chunks = (n_chan + CHUNK - 1) // CHUNK
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for job in prange(n_rows * n_chunks):
        r, low = job // n_chunks, job % n_chunks * CHUNK
        high = min(n_chan, low + CHUNK)
        for t in range(n_time):
            for c in range(low, high):
                u_t = v[r, c] + (x[r, t, c] - v[r, c]) * inv_tau
                fired = u_t >= threshold
                u[r, t, c] = u_t
                spikes[r, t, c] = one if fired else zero
                v[r, c] = zero if fired else u_t


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(grad_s, u, inv_tau, threshold, slope, height, grad_x, grad_v):
    n_rows, n_time, n_chan = u.shape
    n_chunks = (n_chan + CHUNK - 1) // CHUNK
    one, zero = u.dtype.type(1), u.dtype.type(0)
    for job in prange(n_rows * n_chunks):
        r, low = job // n_chunks, job % n_chunks * CHUNK
        high = min(n_chan, low + CHUNK)
        for step in range(n_time):
            t = n_time - 1 - step
            for c in range(low, high):
                u_t = u[r, t, c]
                z = slope * (u_t - threshold)
                surrogate = height / (one + z * z)
                kept = zero if u_t >= threshold else one
                grad_u = grad_s[r, t, c] * surrogate + grad_v[r, c] * (kept - u_t * surrogate)
                grad_x[r, t, c] = grad_u * inv_tau
                grad_v[r, c] = grad_u - grad_u * inv_tau


class _LIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, v: Tensor, tau: float, threshold: float):
        x = x.contiguous()
        number = x.numpy().dtype.type
        v, spikes, u = v.clone(memory_format=torch.contiguous_format), torch.empty_like(x), torch.empty_like(x)
        ctx.constants = number(1.0 / tau), number(threshold), number(SLOPE), number(ATAN_ALPHA / 2)
        inv_tau, theta = ctx.constants[:2]
        _forward(x.numpy(), v.numpy(), inv_tau, theta, spikes.numpy(), u.numpy())
        ctx.save_for_backward(u)
        ctx.mark_non_differentiable(v)
        return spikes, v

    @staticmethod
    def backward(ctx, grad_s: Tensor, _):
        (u,) = ctx.saved_tensors
        grad_x, grad_v = torch.empty_like(u), u.new_zeros(u.shape[0], u.shape[2])
        inv_tau, theta, slope, height = ctx.constants
        grads = grad_s.contiguous().numpy(), u.numpy()
        _backward(*grads, inv_tau, theta, slope, height, grad_x.numpy(), grad_v.numpy())
        return grad_x, None, None, None


def lif(x: Tensor, v: Tensor, tau: float, threshold: float) -> tuple[Tensor, Tensor]:
    """Run one LIF per row and channel: v += (x - v) / tau; s = v >= threshold; v = 0 where s = 1.

    x (R, T, C) input current; v (R, C) membrane before the first step, carried but not differentiated;
    tau in time steps (1 = no memory). Returns spikes (R, T, C) in {0, 1} and the membrane (R, C).
    """
    if x.device.type != "cpu":
        return lif_loop(x, v.detach(), tau, threshold)
    return _LIF.apply(x, v.detach(), tau, threshold)
