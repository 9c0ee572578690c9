"""Training on tokens: Adam, cosine schedule, state carried between windows, checkpoints that can be resumed.

Rows of a batch are streams: each starts at a random place, is read window after window with its state carried
(gradients stop at window edges), and restarts every ROUND windows. What a step sees depends on (seed, step) alone,
so a resumed run repeats an uninterrupted one, and several processes see together what one would.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikegpt import checkpoint
from spikegpt.config import TRANSFORMER, Config
from spikegpt.corpus import Corpus
from spikegpt.distributed import Place, place
from spikegpt.errors import UserError
from spikegpt.evaluate import STREAMS, Evaluation, evaluate
from spikegpt.model import SpikeGPT, build
from spikegpt.objective import Carried, Objective, Score
from spikegpt.pruning import Pruning
from spikegpt.run_folder import CURVE, RunFolder
from spikegpt.train_config import TrainConfig, learning_rate
from spikegpt.training_log import Row, plot_curve
from spikegpt.training_loop import SAVE_EVERY_S, keep_on
from spikegpt.transformer import Transformer

ROUND = 32  # windows before streams restart; several processes save at these edges, where no state is carried
LOG_EVERY = 50
HEAD_SLOPE = 1.65  # E[n | n > 0.5] - E[n | n < 0.5] of a normal n: what a spike of a head's neuron stands for at first


def window(text: np.ndarray, cfg: TrainConfig, step: int) -> Tensor:
    """The tokens of one step, (batch, ctx + 1) int64."""
    round_, within = divmod(step, ROUND)
    span = min(ROUND * cfg.ctx, len(text) - 1) // cfg.ctx * cfg.ctx
    starts = np.random.default_rng([cfg.seed, round_]).integers(0, len(text) - span, cfg.batch)
    low = starts + within * cfg.ctx % span
    return torch.from_numpy(np.stack([text[i : i + cfg.ctx + 1] for i in low]).astype(np.int64))


def train(
    config: Config,
    corpus: Corpus,
    cfg: TrainConfig,
    out: Path,
    *,
    teacher: Path | None = None,
    start: Path | None = None,
    resume: bool = False,
    force: bool = False,
    device: str = "cpu",
    report: Callable[[Row], None] = lambda row: None,
    progress: Callable[[int], None] = lambda step: None,
    scoring: Callable[[int], Callable[[int], None]] = lambda tokens: lambda done: None,
    command: Sequence[str] = (),
    save_every_s: float = SAVE_EVERY_S,
) -> tuple[SpikeGPT | Transformer, Evaluation]:
    """Train a model and leave `run.json`, `last.pt` (to resume), `log.csv`, `model.pt` (weights) and `curve.svg`.

    `teacher` is a checkpoint whose next-token distributions the model is to match. The model starts from the weights of
    `start`, a checkpoint of its shape in any variant or form, or else from its teacher's if that has its shape.
    `last.pt` is written at round edges, every `save_every_s` seconds, and before Ctrl-C or SIGTERM ends the run; what
    is resumed (`resume`) gives the rows and the model of an uninterrupted run, to the bit. `force` replaces a run.
    `report` is told every row of the log and `progress` every step that is done; `scoring` how many tokens the score
    at the end is over, and what it gives, those that are done. `command` is kept in run.json.
    Under `torchrun` every process takes its share of each batch and the first one writes. Returns the model as stored
    (matrices rounded to float16, on the CPU) and its score on the validation part.
    Raises UserError when the text is shorter than a window or its validation part too short to score, the batch cannot
    be shared out, the device is not there, the teacher has another vocabulary, or `out` holds what must not be written
    over or cannot be resumed with these settings.
    """
    text, valid = parts(corpus, cfg)
    torch.set_flush_denormal(True)  # decaying membranes and WKV gradients become denormal: 10x slower
    torch.manual_seed(cfg.seed)
    model = build(config)
    model.tokenizer = corpus.tokenizer
    folder = RunFolder(out, config.to_dict(), provenance_of(model, corpus, cfg, teacher, start))
    with place(device) as here:
        if cfg.batch % (here.world * cfg.accumulate):
            raise UserError(f"a batch of {cfg.batch} does not divide by {here.world} processes x {cfg.accumulate}")
        teaching = None if teacher is None else read_teacher(teacher, config)
        if start is not None and not inherit(model, checkpoint.load(start)):
            raise UserError(f"{start}: its weights do not fit a {config.variant} model of this shape")
        if teaching is not None:
            if start is None:
                inherit(model, teaching)
            teaching.to(here.device)
        run = Run(model.to(here.device), text, cfg, here, teaching)
        with folder.held() if here.rank == 0 else nullcontext():
            record = folder.begin(command, resume=resume, force=force) if here.rank == 0 else None
            if here.agree(record is not None):
                run.restore(record or folder.checkpoint())
            if not here.agree(here.rank == 0 and folder.finished()):
                keep_on(run, folder, valid, corpus.bytes_per_token, report, progress, save_every_s)
                if here.rank == 0:
                    checkpoint.save(model, folder.model, provenance=folder.provenance, half=True)
                    plot_curve(run.rows, folder.path / CURVE)
    model = checkpoint.load(folder.model)
    score = evaluate(model, valid, progress=scoring(STREAMS * (len(valid) // STREAMS - 1)))
    if here.rank == 0:
        folder.describe({"valid": asdict(score)})
    return model, score


def parts(corpus: Corpus, cfg: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """The training and the validation part of a text. Raises UserError where one is too short."""
    text, valid = corpus.split("train"), corpus.split("valid")
    if len(text) < cfg.ctx + 2:
        raise UserError(f"{corpus.name}: {len(text)} training tokens are fewer than a window of {cfg.ctx} + 2")
    if len(valid) < 2 * STREAMS:
        raise UserError(f"{corpus.name}: {len(valid)} validation tokens are fewer than 2 for each of {STREAMS} streams")
    return text, valid


def provenance_of(
    model: SpikeGPT | Transformer, corpus: Corpus, cfg: TrainConfig, teacher: Path | None, start: Path | None
) -> dict:
    """What a checkpoint says of how it came to be: every setting that its weights depend on."""
    provenance = {
        "text": corpus.name,
        "text_sha256": corpus.sha256,
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": str(torch.__version__),
        **{f"train_{k}": v for k, v in asdict(cfg).items() if v is not None},
    }
    if teacher is not None:
        provenance["teacher"] = f"{teacher.name} sha256 {hashlib.sha256(teacher.read_bytes()).hexdigest()}"
    else:
        del provenance["train_teacher_share"]
        provenance.pop("train_teacher_temperature", None)
    if start is not None:
        provenance["start"] = f"{start.name} sha256 {hashlib.sha256(start.read_bytes()).hexdigest()}"
    return provenance


def read_teacher(path: Path, config: Config) -> SpikeGPT | Transformer:
    """The model to learn from. Raises UserError when it has another vocabulary."""
    teacher = checkpoint.load(path)
    if teacher.config.vocab_size != config.vocab_size:
        raise UserError(f"{path}: a teacher of {teacher.config.vocab_size} tokens for a model of {config.vocab_size}")
    return teacher


@torch.no_grad()
def inherit(model: SpikeGPT | Transformer, source: SpikeGPT | Transformer) -> bool:
    """Take over all weights that both have, if the source has the model's shape; else change nothing and say False.

    What it may lack are the gains in front of spiking populations, which other variants do not have. A head that comes
    to read spikes is scaled by what each of them stands for.
    """
    own, theirs = model.state_dict(), dict(source.state_dict())
    if model.config.spiking_head and not source.config.spiking_head:
        theirs["head.weight"] = theirs["head.weight"] * theirs["ln_out.weight"] * HEAD_SLOPE
        theirs["ln_out.weight"] = torch.ones_like(theirs["ln_out.weight"])
        theirs["ln_out.bias"] = torch.full_like(theirs["ln_out.bias"], 0.5)
    shared = own.keys() & theirs.keys()
    fits = all(name.endswith(".gain") for name in own.keys() - theirs.keys())
    if not fits or any(own[name].shape != theirs[name].shape for name in shared):
        return False
    for name in shared:
        own[name].copy_(theirs[name])
    return True


class Run:
    """The part of a training run that changes: weights, optimizer, carried state, and what the next row averages."""

    def __init__(
        self,
        model: SpikeGPT | Transformer,
        text: np.ndarray,
        cfg: TrainConfig,
        here: Place,
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

    def backward(self, part: int, rows: Tensor) -> Score:
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
