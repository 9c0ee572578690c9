"""How to train: the settings of a run, and the learning rate that they give at every step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from spikegpt.errors import UserError

BOUNDS: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (("steps", "batch", "accumulate", "ctx", "eval_every", "eval_tokens"), lambda n: n >= 1, "be at least 1"),
    (("lr", "density", "sparsity", "dropout"), lambda x: 0 < x < 1, "lie between 0 and 1"),
    (("teacher_share",), lambda x: 0 <= x <= 1, "be a share from 0 to 1"),
    (("warmup", "final_lr", "density_weight"), lambda x: 0 <= x < math.inf, "be 0 or more, and finite"),
    (("clip", "teacher_temperature"), lambda x: 0 < x < math.inf, "be above 0, and finite"),  # below, weights climb
)  # a number that is None says nothing


@dataclass(frozen=True)
class TrainConfig:
    """How to train; lengths in tokens, `lr` the peak learning rate, `batch` rows over all processes."""

    steps: int = 2000
    batch: int = 8
    accumulate: int = 1  # micro-batches a step, to save memory
    ctx: int = 256
    lr: float = 5e-3
    final_lr: float = 1e-5  # the published end of the schedule
    warmup: int = 100
    clip: float = 1.0
    seed: int = 0
    bf16: bool = False  # matrix products in bfloat16; everything else stays float32
    density: float | None = None  # budget for the share of active synapses; activity above it is penalised
    sparsity: float | None = None  # share of the spike-fed weights to be zero in the end, pruned during training
    density_weight: float = 2.0  # nats of penalty for a density of 1 above the budget
    teacher_share: float = 0.8  # of the loss, where there is a teacher; the rest is cross-entropy
    teacher_temperature: float | None = None  # both distributions are softened by it; None: 1
    dropout: float | None = None  # share of what a half of a block adds that is left out in training; published 0.03
    eval_every: int = 960
    eval_tokens: int = 65536

    def __post_init__(self) -> None:
        for names, holds, bounds in BOUNDS:
            for name in names:
                value = getattr(self, name)
                if value is not None and not holds(value):
                    raise UserError(f"{name} = {value}: must {bounds}")
        if self.final_lr > self.lr:
            raise UserError(f"final_lr = {self.final_lr}: must be at most the peak, lr = {self.lr}")
        if self.batch % self.accumulate:
            raise UserError(f"a batch of {self.batch} does not divide by accumulate = {self.accumulate}")


def learning_rate(cfg: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine from `lr` down to `final_lr`."""
    if step < cfg.warmup:
        return cfg.lr * (step + 1) / cfg.warmup
    done = (step - cfg.warmup) / max(1, cfg.steps - cfg.warmup)
    return cfg.final_lr + (cfg.lr - cfg.final_lr) * 0.5 * (1 + math.cos(math.pi * done))
