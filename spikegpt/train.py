"""Training on byte text: Adam, cosine schedule, state carried between windows, checkpoints that can be resumed.

Rows of a batch are streams: each starts at a random place, is read window after window with its state carried
(gradients stop at window edges), and restarts every ROUND windows. What a step sees depends on (seed, step) alone,
so a resumed run repeats an uninterrupted one.
"""

import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from spikegpt import checkpoint
from spikegpt.config import TRANSFORMER, Config
from spikegpt.corpus import Corpus
from spikegpt.curve import plot_curve
from spikegpt.errors import UserError
from spikegpt.evaluate import Evaluation, evaluate, fan_out_weights
from spikegpt.files import write_atomically
from spikegpt.model import SpikeGPT, State, Taps, build
from spikegpt.transformer import Transformer

ROUND = 32  # windows before streams restart; checkpoints fall on round edges, where no state is carried
LOG_EVERY = 50


@dataclass(frozen=True)
class TrainConfig:
    """How to train; lengths in tokens, `lr` the peak learning rate."""

    steps: int = 2000
    batch: int = 8
    ctx: int = 256
    lr: float = 5e-3
    final_lr: float = 1e-5  # the published end of the schedule
    warmup: int = 100
    clip: float = 1.0
    seed: int = 0
    bf16: bool = False  # matrix products in bfloat16; everything else stays float32
    density: float | None = None  # budget for the share of active synapses; activity above it is penalised
    density_weight: float = 2.0  # nats of penalty for a density of 1 above the budget
    eval_every: int = 960
    eval_tokens: int = 65536

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "ctx", "eval_every", "eval_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}: must be at least 1")
        if not 0 < self.lr < 1:
            raise UserError(f"lr = {self.lr}: must lie between 0 and 1")
        if self.density is not None and not 0 < self.density < 1:
            raise UserError(f"density = {self.density}: must lie between 0 and 1")


def learning_rate(cfg: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine from `lr` down to `final_lr`."""
    if step < cfg.warmup:
        return cfg.lr * (step + 1) / cfg.warmup
    done = (step - cfg.warmup) / max(1, cfg.steps - cfg.warmup)
    return cfg.final_lr + (cfg.lr - cfg.final_lr) * 0.5 * (1 + math.cos(math.pi * done))


def window(text: np.ndarray, cfg: TrainConfig, step: int) -> torch.Tensor:
    """The tokens of one step, (batch, ctx + 1) int64."""
    round_, place = divmod(step, ROUND)
    span = min(ROUND * cfg.ctx, len(text) - 1) // cfg.ctx * cfg.ctx
    starts = np.random.default_rng([cfg.seed, round_]).integers(0, len(text) - span, cfg.batch)
    low = starts + place * cfg.ctx % span
    return torch.from_numpy(np.stack([text[i : i + cfg.ctx + 1] for i in low]).astype(np.int64))


def train(
    config: Config,
    corpus: Corpus,
    cfg: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    report: Callable[[dict], None] = lambda row: None,
) -> tuple[SpikeGPT | Transformer, Evaluation]:
    """Train a model and leave `model.pt` (weights), `last.pt` (to resume), `log.csv`, `curve.svg` and `run.json`.

    Returns the model as stored (matrices rounded to float16) and its score on the validation part.
    Raises UserError when the text is shorter than a window or `out` holds a run that is not to be resumed.
    """
    text, valid = corpus.split("train"), corpus.split("valid")
    if len(text) < cfg.ctx + 2:
        raise UserError(f"{corpus.name}: {len(text)} training bytes are fewer than a window of {cfg.ctx} + 2")
    last = out / "last.pt"
    if last.exists() and not resume:
        raise UserError(f"{last} exists: pass --resume to continue that run, or choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_flush_denormal(True)  # decaying membranes and WKV gradients become denormal: 10x slower
    torch.manual_seed(cfg.seed)
    model = build(config)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), eps=4e-9, weight_decay=0.0, fused=True)
    provenance = {
        "text": corpus.name,
        "text_sha256": corpus.sha256,
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": str(torch.__version__),
        **{f"train_{k}": v for k, v in asdict(cfg).items() if v is not None},
    }
    first, rows = 0, []
    if resume:
        record = checkpoint.read(last)
        if record["provenance"] != provenance or record["config"] != config.to_dict():
            raise UserError(f"{last}: it was made with other settings; resume with the command in run.json")
        model.load_state_dict(record["model"])
        optimizer.load_state_dict(record["optimizer"])
        first, rows = record["step"], record["rows"]
    weights = fan_out_weights(model)
    state: State | None = None
    since, tokens_since, losses, densities = time.perf_counter(), 0, [], []
    for step in range(first, cfg.steps):
        if step % ROUND == 0 or config.variant == TRANSFORMER:  # positions are learned: every window starts anew
            state = None
        if step % ROUND == 0 and step > first and step % cfg.eval_every < ROUND:
            checkpoint.save(model, last, provenance=provenance, optimizer=optimizer.state_dict(), step=step, rows=rows)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(cfg, step)
        batch = window(text, cfg, step)
        taps: Taps = {}
        with torch.autocast("cpu", torch.bfloat16, enabled=cfg.bf16):
            logits, state = model.run(batch[:, :-1], state, taps if weights else None)
        loss = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        losses.append(loss.item())
        if weights:
            density = torch.stack([share * taps[name].mean() for name, share in weights.items()]).sum()
            densities.append(density.item())
            if cfg.density is not None:
                loss = loss + cfg.density_weight * functional.relu(density - cfg.density)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), cfg.clip)
        optimizer.step()
        tokens_since += batch[:, 1:].numel()
        if (step + 1) % LOG_EVERY == 0 or step + 1 == cfg.steps:
            now = time.perf_counter()
            row: dict[str, float | str] = {
                "step": step + 1,
                "tokens": (step + 1) * cfg.batch * cfg.ctx,
                "train_bits_per_byte": float(np.mean(losses)) / math.log(2),
                "density": float(np.mean(densities)) if densities else "",
                "lr": learning_rate(cfg, step),
                "tokens_per_s": tokens_since / (now - since),
                "valid_bits_per_byte": "",
            }
            if not math.isfinite(losses[-1]):
                raise UserError(f"the loss became {losses[-1]} at step {step + 1}: lower --lr (now {cfg.lr})")
            if (step + 1) % cfg.eval_every < LOG_EVERY and step + 1 < cfg.steps:
                row["valid_bits_per_byte"] = evaluate(model, valid[: cfg.eval_tokens]).bits_per_byte
            rows.append(row)
            report(row)
            write_log(out / "log.csv", rows)
            since, tokens_since, losses, densities = time.perf_counter(), 0, [], []
    checkpoint.save(model, out / "model.pt", provenance=provenance, half=True)
    write_atomically(out / "curve.svg", lambda beside: plot_curve(rows, beside))
    model = checkpoint.load(out / "model.pt")
    score = evaluate(model, valid)
    summary = {
        "config": config.to_dict(),
        "provenance": provenance,
        "valid_bits_per_byte": score.bits_per_byte,
        "density": score.density,
        "rates": score.rates,
    }
    write_atomically(out / "run.json", lambda p: p.write_text(json.dumps(summary, indent=1) + "\n"))
    return model, score


def write_log(path: Path, rows: list[dict]) -> None:
    """Write the training curve as CSV."""

    def write(beside: Path) -> None:
        with beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)
