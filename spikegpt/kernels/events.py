"""A linear layer that reads spikes, on the CPU: rows of weights are added where there is a spike, nothing else is done.

At 5 % of the inputs active, the product and the gradient of the weights take a third of the time of a dense product.
"""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor
from torch.nn import functional

from spikegpt.kernels import threads

CHUNK = 128  # columns a job of the backward pass adds into: its part of the gradient stays in cache
REORDERED = {"reassoc", "contract", "nsz"}


@njit(cache=True, error_model="numpy")
def _addresses(x, starts, where):
    """The columns of the spikes of every row r of x (R, C): where[starts[r] : starts[r + 1]]."""
    n = 0
    for r in range(x.shape[0]):
        starts[r] = n
        for i in range(x.shape[1]):  # without a branch: which neurons fire cannot be predicted
            where[n] = i
            n += x[r, i] != 0
    starts[x.shape[0]] = n


@njit(parallel=True, cache=True, error_model="numpy", fastmath=REORDERED)
def _gather(weights, starts, where, y):
    """y (R, n_out) = sums of the rows of weights (n_in, n_out) named by the addresses."""
    for r in prange(y.shape[0]):
        out, i, last = y[r], starts[r], starts[r + 1]
        for j in range(out.size):
            out[j] = 0
        while i + 4 <= last:
            a, b, c, d = weights[where[i]], weights[where[i + 1]], weights[where[i + 2]], weights[where[i + 3]]
            for j in range(out.size):
                out[j] += (a[j] + b[j]) + (c[j] + d[j])
            i += 4
        while i < last:
            a = weights[where[i]]
            for j in range(out.size):
                out[j] += a[j]
            i += 1


@njit(parallel=True, cache=True, error_model="numpy", fastmath=REORDERED)
def _scatter(grad_y, starts, where, grad_w):
    """grad_w (n_in, n_out) = for every input, the sum of the rows of grad_y (R, n_out) at which it fired."""
    n_rows, n_out = grad_y.shape
    for job in prange((n_out + CHUNK - 1) // CHUNK):
        low, high = job * CHUNK, min(n_out, (job + 1) * CHUNK)
        grad_w[:, low:high] = 0
        for r in range(n_rows):
            g = grad_y[r, low:high]
            for k in range(starts[r], starts[r + 1]):
                out = grad_w[where[k], low:high]
                for j in range(g.size):
                    out[j] += g[j]


class _SpikeLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor):
        threads.start()
        rows = x.reshape(-1, x.shape[-1])
        starts, where = np.empty(len(rows) + 1, np.int64), np.empty(rows.numel() + 1, np.int32)
        _addresses(rows.numpy(), starts, where)
        ctx.save_for_backward(weight)
        ctx.addresses = starts, where[: starts[-1]].copy()
        y = rows.new_empty(len(rows), len(weight))
        starts, where = ctx.addresses
        _gather(weight.t().contiguous().numpy(), starts, where, y.numpy())
        return y.view(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx, grad_y: Tensor):
        (weight,) = ctx.saved_tensors
        grad_y = grad_y.contiguous()
        grad_w = weight.new_empty(weight.shape[1], weight.shape[0])
        starts, where = ctx.addresses
        _scatter(grad_y.view(-1, len(weight)).numpy(), starts, where, grad_w.numpy())
        return grad_y @ weight, grad_w.t()


def spike_linear(x: Tensor, weight: Tensor) -> Tensor:
    """x (.., n_in) in {0, 1} times weight (n_out, n_in): (.., n_out), with the gradients of `functional.linear`.

    It is `functional.linear` on a GPU, where autocast asks for another precision, and where no gradient is wanted, as
    other tools count a model by its products.
    """
    dense = x.device.type != "cpu" or x.dtype != weight.dtype or not torch.is_grad_enabled()
    if dense or torch.is_autocast_enabled("cpu"):
        return functional.linear(x, weight)
    return _SpikeLinear.apply(x, weight)
