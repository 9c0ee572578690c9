"""The slow, obvious PyTorch loops that specify the fused kernels; autograd differentiates them.

Equations: Zhu, Zhao, Eshraghian, "SpikeGPT", arXiv 2302.13939, and Peng et al., "RWKV", arXiv 2305.13048.
"""

import math

import snntorch
import torch
from torch import Tensor

ATAN_ALPHA = 2.0
SLOPE = math.pi / 2 * ATAN_ALPHA


class ATanSpike(snntorch.surrogate.ATan):
    """snnTorch's ATan surrogate behind the published step, which is 1 where x >= 0 (snnTorch's own needs x > 0)."""

    @staticmethod
    def forward(ctx, x: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.alpha = alpha
        return (x >= 0).to(x.dtype)


def heaviside(x: Tensor) -> Tensor:
    """1 where x >= 0, else 0; its gradient is the ATan surrogate of the published code."""
    return ATanSpike.apply(x, ATAN_ALPHA)


def token_shift_loop(h: Tensor, last: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
    """mix_n * h_t + (1 - mix_n) * h_{t-1}: h (B, T, C), last (B, C), mix (N, C) -> (N, B, T, C), (B, C)."""
    previous = torch.cat([last[:, None], h[:, :-1]], dim=1)
    m = mix[:, None, None]
    return m * h + (1 - m) * previous, h[:, -1]


def lif_loop(x: Tensor, v: Tensor, tau: float, threshold: float) -> tuple[Tensor, Tensor]:
    """v += (x - v) / tau; s = v >= threshold; v = 0 where s: x (R, T, C), v (R, C) -> spikes (R, T, C), v (R, C).

    With tau = 1 this is v = x, and is computed so: v + (x - v) would round.
    """
    spikes = []
    for x_t in x.unbind(1):
        u = x_t if tau == 1 else v + (x_t - v) * (1.0 / tau)
        s = heaviside(u - threshold)
        v = u * (1 - s)
        spikes.append(s)
    return torch.stack(spikes, 1), v


def wkv_loop(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Stable recurrent WKV: w, u (C,), k, v (B, T, C), state (3, B, C) = (a, b, p) -> y (B, T, C), state."""
    a, b, p = state.unbind(0)
    ys = []
    for k_t, v_t in zip(k.unbind(1), v.unbind(1), strict=True):
        q = torch.maximum(p, u + k_t)
        e1, e2 = torch.exp(p - q), torch.exp(u + k_t - q)
        ys.append((e1 * a + e2 * v_t) / (e1 * b + e2))
        q = torch.maximum(p + w, k_t)
        e1, e2 = torch.exp(p + w - q), torch.exp(k_t - q)
        a, b, p = e1 * a + e2 * v_t, e1 * b + e2, q
    return torch.stack(ys, 1), torch.stack([a, b, p])
