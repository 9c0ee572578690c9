"""Leaky integrate-and-fire along time, reset to zero, with the ATan surrogate and a reset that is not detached.

With tau = 1 the membrane is the input: nothing is carried, and a neuron is one comparison.
"""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from spikegpt.fastmath import TINY
from spikegpt.kernels import threads
from spikegpt.kernels.reference import ATAN_ALPHA, SLOPE, heaviside, lif_loop

CHUNK = 64  # channels a job: its rows stay in the first-level cache


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(x, v, inv_tau, threshold, spikes):
    # One scratch row holds all operands: LLVM then knows that nothing aliases and vectorises the arithmetic.
    n_rows, n_time, n_chan = x.shape
    n_chunks = (n_chan + CHUNK - 1) // CHUNK
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for job in prange(n_rows * n_chunks):
        r, low = job // n_chunks, job % n_chunks * CHUNK
        width = min(CHUNK, n_chan - low)
        s = np.zeros(3 * CHUNK, x.dtype)  # rows: v, x, spikes
        for c in range(width):
            s[c] = v[r, low + c]
        for t in range(n_time):
            for c in range(width):
                s[CHUNK + c] = x[r, t, low + c]
            for c in range(CHUNK):
                u = s[c] + (s[CHUNK + c] - s[c]) * inv_tau
                s[2 * CHUNK + c] = one if u >= threshold else zero
                s[c] = zero if u >= threshold else u
            for c in range(width):
                spikes[r, t, low + c] = s[2 * CHUNK + c]
        for c in range(width):
            v[r, low + c] = s[c]


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(grad_s, x, v, inv_tau, threshold, slope, height, grad_x):
    # The membrane is computed again from the input: cheaper than writing it in the forward pass and reading it here.
    n_rows, n_time, n_chan = x.shape
    n_chunks = (n_chan + CHUNK - 1) // CHUNK
    one, zero, tiny = x.dtype.type(1), x.dtype.type(0), x.dtype.type(TINY)
    for job in prange(n_rows * n_chunks):
        r, low = job // n_chunks, job % n_chunks * CHUNK
        width = min(CHUNK, n_chan - low)
        past = np.zeros((n_time, CHUNK), x.dtype)  # membrane before the reset
        s = np.zeros(4 * CHUNK, x.dtype)  # rows: v (then its gradient), x or u, gradient of spikes, gradient of x
        for c in range(width):
            s[c] = v[r, low + c]
        for t in range(n_time):
            for c in range(width):
                s[CHUNK + c] = x[r, t, low + c]
            for c in range(CHUNK):
                u = s[c] + (s[CHUNK + c] - s[c]) * inv_tau
                s[CHUNK + c] = u
                s[c] = zero if u >= threshold else u
            for c in range(CHUNK):
                past[t, c] = s[CHUNK + c]
        for c in range(CHUNK):
            s[c] = zero
        for step in range(n_time):
            t = n_time - 1 - step
            for c in range(CHUNK):
                s[CHUNK + c] = past[t, c]
            for c in range(width):
                s[2 * CHUNK + c] = grad_s[r, t, low + c]
            for c in range(CHUNK):
                u = s[CHUNK + c]
                z = slope * (u - threshold)
                surrogate = height / (one + z * z)
                kept = zero if u >= threshold else one
                grad_u = s[2 * CHUNK + c] * surrogate + s[c] * (kept - u * surrogate)
                s[3 * CHUNK + c] = grad_u * inv_tau
                carried = grad_u - grad_u * inv_tau
                s[c] = carried if abs(carried) > tiny else zero
            for c in range(width):
                grad_x[r, t, low + c] = s[3 * CHUNK + c]


@njit(parallel=True, cache=True, error_model="numpy")
def _surrogate(grad_s, x, threshold, slope, height, grad_x):
    for i in prange(x.size):
        z = slope * (x[i] - threshold)
        grad_x[i] = grad_s[i] * height / (x.dtype.type(1) + z * z)


class _Memoryless(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, threshold: float):
        threads.start()
        x = x.contiguous()
        ctx.save_for_backward(x)
        number = x.numpy().dtype.type
        ctx.constants = number(threshold), number(SLOPE), number(ATAN_ALPHA / 2)
        return (x >= threshold).to(x.dtype)

    @staticmethod
    def backward(ctx, grad_s: Tensor):
        (x,) = ctx.saved_tensors
        grad_x = torch.empty_like(x)
        threshold, slope, height = ctx.constants
        grads = grad_s.contiguous().view(-1).numpy()
        _surrogate(grads, x.view(-1).numpy(), threshold, slope, height, grad_x.view(-1).numpy())
        return grad_x, None


class _LIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, v: Tensor, tau: float, threshold: float):
        threads.start()
        x = x.contiguous()
        number = x.numpy().dtype.type
        ctx.save_for_backward(x, v.contiguous())
        v, spikes = v.clone(memory_format=torch.contiguous_format), torch.empty_like(x)
        ctx.constants = number(1.0 / tau), number(threshold), number(SLOPE), number(ATAN_ALPHA / 2)
        inv_tau, theta = ctx.constants[:2]
        _forward(x.numpy(), v.numpy(), inv_tau, theta, spikes.numpy())
        ctx.mark_non_differentiable(v)
        return spikes, v

    @staticmethod
    def backward(ctx, grad_s: Tensor, _):
        x, v = ctx.saved_tensors
        inv_tau, theta, slope, height = ctx.constants
        grad_x = torch.empty_like(x)
        inputs = grad_s.contiguous().numpy(), x.numpy(), v.numpy()
        _backward(*inputs, inv_tau, theta, slope, height, grad_x.numpy())
        return grad_x, None, None, None


def lif(x: Tensor, v: Tensor, tau: float, threshold: float) -> tuple[Tensor, Tensor]:
    """Run one LIF per row and channel: v += (x - v) / tau; s = v >= threshold; v = 0 where s = 1.

    x (R, T, C) input current; v (R, C) membrane before the first step, carried but not differentiated;
    tau in time steps (1 = no memory). Returns spikes (R, T, C) in {0, 1} and the membrane (R, C).
    """
    if torch.compiler.is_exporting():
        return lif_loop(x, v, tau, threshold)
    if tau == 1:
        spikes = _Memoryless.apply(x, threshold) if x.device.type == "cpu" else heaviside(x - threshold)
        return spikes, x[:, -1].detach().masked_fill(spikes[:, -1] > 0, 0.0)
    if x.device.type != "cpu":
        from spikegpt.kernels.gpu import LIF  # Triton comes with PyTorch's builds for GPUs alone

        return LIF.apply(x, v.detach(), tau, threshold)
    return _LIF.apply(x, v.detach(), tau, threshold)
