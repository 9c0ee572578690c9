"""Token shift of RWKV, several mixes of one input at once: y_n = m_n * h_t + (1 - m_n) * h_{t-1}."""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from spikegpt.kernels import threads
from spikegpt.kernels.reference import token_shift_loop


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(h, last, m, rest, out):
    n_mix, n_batch, n_time, n_chan = out.shape
    for job in prange(n_mix * n_batch):
        n, b = job // n_batch, job % n_batch
        for c in range(n_chan):
            out[n, b, 0, c] = m[n, c] * h[b, 0, c] + rest[n, c] * last[b, c]
        for t in range(1, n_time):
            for c in range(n_chan):
                out[n, b, t, c] = m[n, c] * h[b, t, c] + rest[n, c] * h[b, t - 1, c]


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(grad, h, last, m, rest, grad_h, grad_m):
    n_mix, n_batch, n_time, n_chan = grad.shape
    for b in prange(n_batch):
        for n in range(n_mix):
            for t in range(n_time):
                for c in range(n_chan):
                    grad_h[b, t, c] += m[n, c] * grad[n, b, t, c]
                if t == 0:
                    for c in range(n_chan):
                        grad_m[b, n, c] += grad[n, b, t, c] * (h[b, t, c] - last[b, c])
                else:
                    for c in range(n_chan):
                        grad_h[b, t - 1, c] += rest[n, c] * grad[n, b, t, c]
                    for c in range(n_chan):
                        grad_m[b, n, c] += grad[n, b, t, c] * (h[b, t, c] - h[b, t - 1, c])


class _TokenShift(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h: Tensor, last: Tensor, mix: Tensor) -> Tensor:
        threads.start()
        h, last, mix = h.contiguous(), last.contiguous(), mix.contiguous()
        ctx.save_for_backward(h, last, mix)
        out = h.new_empty(len(mix), *h.shape)
        _forward(h.numpy(), last.numpy(), mix.numpy(), (1 - mix).numpy(), out.numpy())
        return out

    @staticmethod
    def backward(ctx, grad: Tensor):
        h, last, mix = ctx.saved_tensors
        grad_h = torch.zeros_like(h)
        grad_m = np.zeros((h.shape[0], *mix.shape), mix.numpy().dtype)
        _backward(
            grad.contiguous().numpy(), h.numpy(), last.numpy(), mix.numpy(), (1 - mix).numpy(), grad_h.numpy(), grad_m
        )
        return grad_h, None, torch.from_numpy(grad_m.sum(0))


def token_shift(h: Tensor, last: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
    """Mix every token with the one before it.

    h (B, T, C); last (B, C) is the token before the first and receives no gradient; mix (N, C).
    Returns the mixes (N, B, T, C) and the new last token (B, C).
    """
    if h.device.type != "cpu" or torch.compiler.is_exporting():
        return token_shift_loop(h, last, mix)
    return _TokenShift.apply(h, last.detach(), mix), h[:, -1]
