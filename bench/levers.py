"""What bench/gpu_sweep.py tries beside the product's own training: levers named in a job, each off unless named.

head     share of the head's neurons that may fire, a budget of their own
layers   weight of matching the teacher's block outputs (mean square over the teacher's mean square)
anneal   share of the steps over which spikes harden from a sigmoid
neurons  per channel in front of the matrices that read a norm: odd ones are given the negated channel at first
muon     Muon for the matrices of the blocks (Jordan et al. 2024), at this share of the learning rate; Adam for the rest
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikegpt import model as spiking
from spikegpt.model import Attention, FeedForward, Matrix, SpikeGPT
from spikegpt.objective import BatchScore, Objective

MOMENTUM = 0.95
NEWTON = (3.4445, -4.7750, 2.0315)  # of Muon's five steps


class Loss:
    """An Objective with levers; a call gives the BatchScore of one batch (B, T + 1)."""

    def __init__(self, objective: Objective, levers: dict, steps: int):
        self.objective, self.levers, self.steps = objective, levers, steps
        self.ours: list[Tensor] = []
        self.theirs: list[Tensor] = []
        self.fired: list[Tensor] = []
        if "head" in levers:
            objective.model.head_lif.register_forward_hook(lambda _m, _i, out: self.fired.append(out))
        if "layers" in levers:
            for model, kept in ((objective.model, self.ours), (objective.teacher, self.theirs)):
                for block in model.blocks:
                    block.register_forward_hook(lambda _m, _i, out, kept=kept: kept.append(out))

    def __call__(self, batch: Tensor, carried: Any, counter: Tensor) -> BatchScore:
        self.ours.clear()
        self.theirs.clear()
        self.fired.clear()
        levers, o = self.levers, self.objective
        if "anneal" in levers:
            HARD["share"] = (counter / (levers["anneal"] * self.steps)).clamp(max=1.0).view(())
        score = o(batch, carried)
        loss = score.loss
        if "head" in levers:
            loss = loss + o.weight * (self.fired[0].mean() - levers["head"]).clamp(min=0)
        for ours, theirs in zip(self.ours, self.theirs, strict=True):
            loss = loss + levers["layers"] / len(self.ours) * (ours - theirs).square().mean() / theirs.square().mean()
        HARD.clear()
        return score._replace(loss=loss)


HARD: dict[str, Tensor] = {}
hard_lif = spiking.lif


def soft_lif(x: Tensor, v: Tensor, tau: float, threshold: float) -> tuple[Tensor, Tensor]:
    spikes, end = hard_lif(x, v, tau, threshold)
    if "share" in HARD:
        spikes = torch.lerp(torch.sigmoid(4 * (x - threshold)), spikes, HARD["share"])
    return spikes, end


spiking.lif = soft_lif


def widen(model: nn.Module, levers: dict) -> None:
    """Give every norm `neurons` neurons a channel, and the matrices behind it as many columns."""
    n = levers.get("neurons", 1)
    if n == 1:
        return
    d = model.config.n_embd
    sign = torch.tensor([1.0, -1.0] * n)[:n].repeat_interleave(d)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.LayerNorm) and not name.endswith("ln0"):
            spread = 1 + 0.5 * (torch.arange(n) // 2).repeat_interleave(d)
            module.wide_weight = nn.Parameter(module.weight.detach().repeat(n) * sign)
            module.wide_bias = nn.Parameter(module.bias.detach().repeat(n) - (spread - 1) * 0.5)
    for parent in model.modules():
        names = {Attention: ("key", "value", "receptance"), FeedForward: ("key", "receptance"), SpikeGPT: ("head",)}
        for name in names.get(type(parent), ()):
            old = getattr(parent, name)
            new = Matrix(n * d, old.out_features, True)
            new.weight.data = old.weight.detach().repeat(1, n) * sign / (n if n > 2 else 1)
            setattr(parent, name, new)


def current(x: Tensor, norm: nn.LayerNorm, threshold: float) -> Tensor:
    weight, bias = getattr(norm, "wide_weight", norm.weight), getattr(norm, "wide_bias", norm.bias)
    n = weight.numel() // x.shape[-1]
    x = x.repeat(*[1] * (x.ndim - 1), n) if n > 1 else x
    return torch.addcmul(bias.clamp(max=threshold - spiking.LEAST_THRESHOLD), x, weight)


spiking.current = current


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal by Newton-Schulz steps, equal shapes together; scaled as torch's match_rms_adamw."""

    def __init__(self, params: list[nn.Parameter], lr: Tensor, ratio: float):
        super().__init__(params, {"lr": lr, "ratio": ratio})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[tuple, list[nn.Parameter]] = {}
            for p in group["params"]:
                shapes.setdefault(tuple(p.shape), []).append(p)
            for shape, ps in shapes.items():
                update = []
                for p in ps:
                    state = self.state[p]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(p)
                    state["momentum"].lerp_(p.grad, 1 - MOMENTUM)
                    update.append(p.grad.lerp(state["momentum"], MOMENTUM))
                x = torch.stack(update)
                x = x.transpose(1, 2) if shape[0] > shape[1] else x
                x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
                for _ in range(5):
                    a = x @ x.transpose(1, 2)
                    b = NEWTON[1] * a + NEWTON[2] * a @ a
                    x = NEWTON[0] * x + b @ x
                x = x.transpose(1, 2) if shape[0] > shape[1] else x
                x = x * (0.2 * math.sqrt(max(shape)) * group["ratio"]) * group["lr"]
                for p, u in zip(ps, x, strict=True):
                    p.sub_(u)


def optimizers(model: nn.Module, lr: Tensor, levers: dict) -> list[torch.optim.Optimizer]:
    """Adam as in training; with `muon`, the matrices of the blocks go to Muon, at that learning rate at the peak."""
    matrices: list[nn.Parameter] = []
    if "muon" in levers:
        matrices = [m.weight for b in model.blocks for m in b.modules() if isinstance(m, Matrix)]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    adam = torch.optim.AdamW(
        rest, lr=lr, betas=(0.9, 0.99), eps=4e-9, weight_decay=0.0, fused=True, capturable=lr.is_cuda
    )
    return [adam] + ([Muon(matrices, lr, levers["muon"])] if matrices else [])
