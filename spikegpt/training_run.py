"""The part of training that changes from step to step: Adam, cosine schedule, state carried between windows.

Rows of a batch are streams: each starts at a random place, is read window after window with its state carried
(gradients stop at window edges), and restarts every ROUND windows. What a step sees depends on (seed, step) alone,
so a resumed run repeats an uninterrupted one, and several processes see together what one would.
"""

import math
import time
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from spikegpt.config import TRANSFORMER
from spikegpt.distributed import Process
from spikegpt.errors import UserError
from spikegpt.model import SpikeGPT
from spikegpt.objective import BatchScore, Carried, Objective
from spikegpt.pruning import Pruning
from spikegpt.train_config import TrainConfig, learning_rate
from spikegpt.training_log import Row
from spikegpt.transformer import Transformer

ROUND = 32  # windows before streams restart; several processes save at these edges, where no state is carried
LOG_EVERY = 50


def window(text: np.ndarray, cfg: TrainConfig, step: int) -> Tensor:
    """The tokens of one step, (batch, ctx + 1) int64."""
    round_, within = divmod(step, ROUND)
    span = min(ROUND * cfg.ctx, len(text) - 1) // cfg.ctx * cfg.ctx
    starts = np.random.default_rng([cfg.seed, round_]).integers(0, len(text) - span, cfg.batch)
    low = starts + within * cfg.ctx % span
    return torch.from_numpy(np.stack([text[i : i + cfg.ctx + 1] for i in low]).astype(np.int64))


class Run:
    """The part of a training run that changes: weights, optimizer, carried state, and what the next row averages."""

    def __init__(
        self,
        model: SpikeGPT | Transformer,
        text: np.ndarray,
        cfg: TrainConfig,
        here: Process,
        teacher: SpikeGPT | Transformer | None = None,
    ):
        self.model, self.text, self.cfg, self.here = model, text, cfg, here
        fused = here.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(
            model.parameters(), betas=(0.9, 0.99), eps=4e-9, weight_decay=0.0, fused=fused
        )
        self.score = Objective(
            model, here, cfg.density, cfg.density_weight, teacher, cfg.teacher_share, cfg.teacher_temperature or 1.0
        )
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = cfg.dropout or 0.0
        self.objective = here.wrap(self.score)
        matrices = model.spike_fed() if isinstance(model, SpikeGPT) else {}
        weights = {tap: matrix.weight for tap, matrix in matrices.items()}
        self.pruning = Pruning(weights, cfg.sparsity or 0.0, cfg.steps)
        self.states: list[Carried | None] = [None] * cfg.accumulate
        self.step = 0
        self.rows: list[Row] = []
        self.start_clock()

    def start_clock(self) -> None:
        """Begin the averages of the next row."""
        self.since, self.counted, self.nats, self.densities = time.perf_counter(), 0, [], []  # type: ignore[var-annotated]

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.cfg.steps

    @property
    def at_round_edge(self) -> bool:
        """Whether the streams restart now."""
        return self.step % ROUND == 0

    @property
    def at_checkpoint(self) -> bool:
        """Whether this is the round edge to save at, whatever the clock says."""
        return self.at_round_edge and self.step % self.cfg.eval_every < ROUND

    @property
    def at_validation(self) -> bool:
        """Whether the row of this step is to have a score on the validation part."""
        return self.step % self.cfg.eval_every < LOG_EVERY and not self.finished

    def training_state(self) -> dict:
        """What a checkpoint holds besides the weights: enough to go on as if never stopped, between any two steps."""
        means = [self.here.mean(torch.stack(values)) if values else None for values in (self.nats, self.densities)]
        return {
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "rows": self.rows,
            "carried": [state and list(state.copied()) for state in self.states],
            "since_row": [*means, self.counted, time.perf_counter() - self.since],
            "kept": self.pruning.kept,
        }

    def restore(self, record: dict) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(record["model"])
        self.optimizer.load_state_dict(record["optimizer"])
        self.step, self.rows = record["step"], record["rows"]
        device = self.here.device
        self.states = [kept and Carried(*kept).copied(device) for kept in record["carried"]]
        nats, densities, self.counted, seconds = record["since_row"]
        self.nats, self.densities = ([] if v is None else list(v.to(device)) for v in (nats, densities))
        self.since = time.perf_counter() - seconds
        self.pruning.kept = {name: kept.to(device) for name, kept in record["kept"].items()}
        self.score.prune(self.pruning.kept)

    def advance(self) -> Row | None:
        """One step; a row of the log every LOG_EVERY steps."""
        cfg, here = self.cfg, self.here
        if self.step % ROUND == 0 or self.model.config.variant == TRANSFORMER:  # learned positions start anew
            self.states = [None] * cfg.accumulate
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(cfg, self.step)
        self.optimizer.zero_grad()
        if cfg.dropout:  # masks depend on seed, step and process alone
            torch.manual_seed(int(np.random.SeedSequence([cfg.seed, self.step, here.rank]).generate_state(1)[0]))
        mine = window(self.text, cfg, self.step).chunk(here.world)[here.rank]
        scores = [self.backward(i, rows.to(here.device)) for i, rows in enumerate(mine.chunk(cfg.accumulate))]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), cfg.clip)
        self.optimizer.step()
        self.step += 1
        if self.pruning.after(self.step):
            self.score.prune(self.pruning.kept)
        self.counted += cfg.batch * cfg.ctx
        self.nats.append(torch.stack([score.nats for score in scores]).mean())
        if scores[0].density is not None:
            self.densities.append(torch.stack([s.density.detach() for s in scores if s.density is not None]).mean())
        if self.step % LOG_EVERY and self.step < cfg.steps:
            return None
        return self.row(scores[-1].rates)

    def backward(self, part: int, rows: Tensor) -> BatchScore:
        """Gradients of one micro-batch; processes exchange theirs with the last one."""
        waits = self.here.world > 1 and part + 1 < self.cfg.accumulate
        with self.objective.no_sync() if waits else nullcontext():  # type: ignore[operator]
            with torch.autocast(self.here.device.type, torch.bfloat16, enabled=self.cfg.bf16):
                score = self.objective(rows, self.states[part])
            (score.loss / self.cfg.accumulate).backward()
        self.states[part] = score.state
        return score

    def row(self, rates: dict[str, Tensor]) -> Row:
        """Averages since the last row; rates are those of the last step. Raises UserError when the loss is lost."""
        nats = float(self.here.mean(torch.stack(self.nats)).mean())
        if not math.isfinite(nats):
            raise UserError(f"the loss became {nats} at step {self.step}: lower --lr (now {self.cfg.lr})")
        return {
            "step": self.step,
            "tokens": self.step * self.cfg.batch * self.cfg.ctx,
            "train_bits_per_token": nats / math.log(2),
            "train_bits_per_byte": "",
            "valid_bits_per_token": "",
            "valid_bits_per_byte": "",
            "density": float(self.here.mean(torch.stack(self.densities)).mean()) if self.densities else "",
            **{f"rate_{kind}": float(self.here.mean(rate)) for kind, rate in rates.items()},
            "lr": learning_rate(self.cfg, self.step - 1),
            "tokens_per_s": self.counted / (time.perf_counter() - self.since),
        }
