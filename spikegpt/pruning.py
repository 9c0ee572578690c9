"""Gradual magnitude pruning of the matrices that read spikes: the smallest weights become and stay exact zeros.

Schedule: Zhu & Gupta, "To prune, or not to prune", arXiv 1710.01878, equation 1: a cubic rise of the share of zeros.
"""

import torch
from torch import Tensor

BEGIN, END = 0.05, 0.6  # of all steps: when zeros appear, and when they are as many as asked for
EVERY = 32  # steps between two choices of the zeros


def share_at(step: int, steps: int, final: float) -> float:
    """The share of zeros at a step, from 0 up to `final`."""
    done = min(1.0, max(0.0, (step / steps - BEGIN) / (END - BEGIN)))
    return final * (1 - (1 - done) ** 3)


class Pruning:
    """The zeros of some matrices over a training run; `kept` (1 where a weight may live) goes into its checkpoints."""

    def __init__(self, matrices: dict[str, Tensor], final: float, steps: int):
        self.matrices, self.final, self.steps = matrices, final, steps
        self.kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def after(self, step: int) -> bool:
        """Zero what is pruned, now that `step` optimizer steps are done; returns whether the choice was made anew."""
        share = share_at(step, self.steps, self.final)
        anew = share > 0 and (step % EVERY == 0 or step == self.steps)
        for name, weight in self.matrices.items():
            if anew:
                self.kept[name] = largest(weight, 1 - share)
            if name in self.kept:
                weight.mul_(self.kept[name])
        return anew


def largest(weight: Tensor, share: float) -> Tensor:
    """True for the `share` of a matrix's weights that are largest in magnitude, of equal ones the first."""
    count = round((1 - share) * weight.numel())
    order = weight.abs().flatten().argsort(stable=True, descending=True)
    kept = torch.ones(weight.numel(), dtype=torch.bool, device=weight.device)
    kept[order[weight.numel() - count :]] = False
    return kept.view_as(weight)
