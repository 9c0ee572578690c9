"""The kernels on a GPU: flash-linear-attention's operator for WKV where it is installed, else compiled loops.

The loops of `reference.py` are compiled over CHUNK tokens at a time: longer graphs take minutes to compile.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec

import torch
from torch import Tensor

from spikegpt.kernels.reference import lif_loop, wkv_loop

CHUNK = 32


@lru_cache
def _compiled(loop: Callable) -> Callable:
    return torch.compile(loop, dynamic=False)


def lif_compiled(x: Tensor, v: Tensor, tau: float, threshold: float) -> tuple[Tensor, Tensor]:
    """`lif` on the device of x: (R, T, C), v (R, C) -> spikes (R, T, C), membrane (R, C)."""
    spikes = []
    for part in x.split(CHUNK, dim=1):
        loop = _compiled(lif_loop) if part.shape[1] == CHUNK else lif_loop
        s, v = loop(part, v, tau, threshold)
        spikes.append(s)
    return torch.cat(spikes, 1), v.detach()


def wkv_compiled(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """`wkv` on the device of k: w, u (C,), k, v (B, T, C), state (3, B, C) -> y (B, T, C), state (3, B, C)."""
    if k.is_cuda and find_spec("fla"):
        return wkv_fla(w, u, k, v, state)
    ys = []
    for k_part, v_part in zip(k.split(CHUNK, dim=1), v.split(CHUNK, dim=1), strict=True):
        loop = _compiled(wkv_loop) if k_part.shape[1] == CHUNK else wkv_loop
        y, state = loop(w, u, k_part, v_part, state)
        ys.append(y)
    return torch.cat(ys, 1), state.detach()


def wkv_fla(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The same through fla.ops.rwkv4, which takes log(-w) and a state (B, 3, 1, C)."""
    from fla.ops.rwkv4 import fused_recurrent_rwkv4

    start = state.permute(1, 0, 2).unsqueeze(2).contiguous()
    y, end = fused_recurrent_rwkv4(torch.log(-w), u, k, v, start)
    return y, end.squeeze(2).permute(1, 0, 2).contiguous().detach()
