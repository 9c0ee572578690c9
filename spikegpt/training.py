"""Training on tokens: what a run starts from, its folder, and the model and the score that it leaves."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from spikegpt import checkpoint
from spikegpt.config import SPIKE_DRIVEN, Config
from spikegpt.corpus import Corpus
from spikegpt.distributed import joined
from spikegpt.errors import Notice, UserError
from spikegpt.escape import unicode
from spikegpt.evaluation import STREAMS, Evaluation, evaluate
from spikegpt.folders import digest
from spikegpt.kinds import first_bytes
from spikegpt.model import SpikeGPT, build
from spikegpt.run_folder import CURVE, RunFolder
from spikegpt.train_config import TrainConfig
from spikegpt.training_log import Row, plot_curve
from spikegpt.training_loop import SAVE_EVERY_S, keep_on
from spikegpt.training_run import Run
from spikegpt.transformer import Transformer
from spikegpt.weights import find

HEAD_SLOPE = 1.65  # E[n | n > 0.5] - E[n | n < 0.5] of a normal n: what a spike of a head's neuron stands for at first


@contextmanager
def without_denormals() -> Iterator[None]:
    """Take denormal numbers for zero, where decaying membranes and WKV gradients end: they are 10 times slower.

    What runs in this process afterwards has them again: the simulator's results depend on them to the last bit.
    """
    before = not torch.tensor(1e-39) * 1
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@without_denormals()
def train(
    config: Config,
    corpus: Corpus,
    cfg: TrainConfig,
    out: Path,
    *,
    teacher: Path | None = None,
    teacher_variant: str | None = None,
    teacher_binary: bool | None = None,
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

    `teacher` is a checkpoint whose next-token distributions the model is to match; `teacher_variant` and
    `teacher_binary` (its embedding) say what a state dict without a configuration does not. The model starts from the
    weights of `start`, a checkpoint of its shape in any variant or form, or else from its teacher's if that has its
    shape.
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
    if teacher is None and (teacher_variant, teacher_binary) != (None, None):
        raise UserError("the variant and embedding of a teacher are told, but no teacher is named")
    if (cfg.density or cfg.sparsity) and config.variant != SPIKE_DRIVEN:
        raise UserError(
            f"a {config.variant} model has no binary synaptic operations to budget: leave density and sparsity away"
        )
    text, valid = parts(corpus, cfg)
    torch.manual_seed(cfg.seed)
    model = build(config)
    model.tokenizer = corpus.tokenizer
    teaching = None if teacher is None else read_teacher(teacher, config, teacher_variant, teacher_binary)
    provenance = provenance_of(model, corpus, cfg, teacher, start)
    if teaching is not None and (teacher_variant, teacher_binary) != (None, None):
        told = teaching.config
        provenance["teacher"] += f" as {told.variant}, {'binary' if told.binary_embedding else 'raw'} embedding"
    folder = RunFolder(out, config.to_dict(), provenance)
    with joined(device) as here:
        if cfg.batch % (here.world * cfg.accumulate):
            raise UserError(f"a batch of {cfg.batch} does not divide by {here.world} processes x {cfg.accumulate}")
        if start is not None and not inherit(model, read_start(start, config)):
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
        provenance["teacher"] = named(teacher)
    else:
        del provenance["train_teacher_share"]
        provenance.pop("train_teacher_temperature", None)
    if start is not None:
        provenance["start"] = named(start)
    return provenance


def named(path: Path) -> str:
    """A checkpoint, or the one in a folder, by name and digest. Raises UserError where it is no regular file."""
    file = find(path)
    first_bytes(file)
    return f"{unicode(file.name)} sha256 {digest(file)}"


def read_start(path: Path, config: Config) -> SpikeGPT | Transformer:
    """The model whose weights are the start; a state dict that does not say its variant may have that of `config`."""
    try:
        record = checkpoint.read(path, silent=True)
    except UserError:
        record = checkpoint.read(path, variant=config.variant, silent=True)
    return checkpoint.from_record(record, path)


def read_teacher(path: Path, config: Config, variant: str | None, binary: bool | None) -> SpikeGPT | Transformer:
    """The model to learn from. Raises UserError when it has another vocabulary, or is told what it says itself."""
    embedding = "auto" if binary is None else binary
    try:
        record = checkpoint.read(path, variant=variant, binary_embedding=embedding, silent=True)
    except UserError as error:
        raise UserError(str(error).replace("--variant", "--teacher-variant")) from error
    told = (variant, binary) != (None, None)
    if told and not record.get("inferred"):
        raise UserError(
            f"{path}: the teacher says itself what it is: leave --teacher-variant, --teacher-embedding away"
        )
    if not told and record.get("inferred"):
        taken = f"the teacher was taken as {record['provenance']['taken_as']}"
        warnings.warn(f"{path}: {taken}; --teacher-variant and --teacher-embedding name others", Notice, stacklevel=2)
    teacher = checkpoint.from_record(record, path)
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
