"""A training run whose step is one CUDA graph: what `bench.gpu_sweep` launches side by side."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench import levers
from spikegpt import checkpoint, evaluation
from spikegpt.config import Config
from spikegpt.corpus import Corpus
from spikegpt.distributed import Process
from spikegpt.model import build, wkv_start
from spikegpt.objective import Carried, Objective
from spikegpt.pruning import EVERY, largest, share_at
from spikegpt.train_config import TrainConfig, learning_rate
from spikegpt.training import inherit
from spikegpt.training_run import ROUND

GPU = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # the second for a rehearsal
WARM_UP = 3  # steps before a capture, undone again


@dataclass(frozen=True)
class Job:
    """One run: `config` and `train` are fields of Config and TrainConfig, `levers` trials that the product lacks."""

    name: str
    config: dict
    train: dict
    teacher: str | None = None
    start: str | None = None
    levers: dict = field(default_factory=dict)
    text: str = ""  # another text than --data, a path


class Trial:
    """A run with its step in a CUDA graph; everything a replay reads or writes has a fixed place."""

    def __init__(self, job: Job, corpus: Corpus, teacher: nn.Module | None, start: nn.Module | None):
        self.job, self.cfg, self.corpus = job, TrainConfig(**job.train), corpus
        torch.manual_seed(self.cfg.seed)
        config = Config(**{"vocab_size": corpus.tokenizer.vocab_size, "ctx_len": self.cfg.ctx, **job.config})
        self.model = build(config)
        self.model.tokenizer = corpus.tokenizer
        source = start or teacher
        self.inherits = source is not None and inherit(self.model, source)
        levers.widen(self.model, job.levers)
        self.model.to(GPU)
        cfg, text = self.cfg, corpus.split("train")
        self.text = on_gpu(corpus)
        span = min(ROUND * cfg.ctx, len(text) - 1) // cfg.ctx * cfg.ctx
        rounds = -(-cfg.steps // ROUND)
        starts = np.stack(
            [np.random.default_rng([cfg.seed, r]).integers(0, len(text) - span, cfg.batch) for r in range(rounds)]
        )
        within = np.arange(rounds * ROUND) % ROUND * cfg.ctx % span
        lows = np.repeat(starts, ROUND, 0) + within[:, None]
        self.lows = torch.from_numpy(lows).to(GPU)
        self.rates = torch.tensor([learning_rate(cfg, s) for s in range(cfg.steps)], device=GPU)
        self.counter = torch.zeros(1, dtype=torch.int64, device=GPU)
        self.lr = torch.zeros((), device=GPU)
        self.optimizers = levers.optimizers(self.model, self.lr, job.levers)
        self.score = Objective(self.model, Process(GPU), cfg.density, cfg.density_weight, teacher, cfg.teacher_share)
        self.loss = levers.Loss(self.score, job.levers, cfg.steps)
        self.masks: dict[str, Tensor] = {}
        self.nats = torch.zeros((), device=GPU)
        self.density = torch.zeros((), device=GPU)
        self.step = 0
        self.capture(teacher)

    def capture(self, teacher: nn.Module | None) -> None:
        cfg, model = self.cfg, self.model
        window = torch.arange(cfg.ctx + 1, device=GPU)
        weights = {tap: m.weight for tap, m in model.spike_fed().items()} if hasattr(model, "spike_fed") else {}
        if cfg.sparsity:
            self.masks = {tap: torch.ones_like(w) for tap, w in weights.items()}
        probe = torch.zeros(cfg.batch, 2, dtype=torch.int64, device=GPU)
        with torch.no_grad():
            parts = [m and m.run(probe)[1] for m in (model, teacher)]
        carried = Carried(*[p and {k: torch.zeros_like(v) for k, v in p.items()} for p in parts])
        first = Carried(*[p and {k: initial(k, v) for k, v in p.items()} for p in carried])
        for own, begin in zip(carried, first, strict=True):
            for name in own or {}:
                own[name].copy_(begin[name])

        def step() -> None:
            fresh = (self.counter % ROUND == 0).view(())
            begin = Carried(
                *[
                    own and {k: torch.where(fresh, b[k], v) for k, v in own.items()}
                    for own, b in zip(carried, first, strict=True)
                ]
            )
            self.lr.copy_(self.rates[self.counter].view(()))
            batch = self.text[self.lows[self.counter].view(-1)[:, None] + window]
            score = self.loss(batch, begin, self.counter)
            score.loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), cfg.clip, foreach=True)
            for optimizer in self.optimizers:
                optimizer.step()
            with torch.no_grad():
                for tap, mask in self.masks.items():
                    weights[tap].mul_(mask)
                for own, new in zip(carried, score.state, strict=True):
                    for name in own or {}:
                        own[name].copy_(new[name])
                self.nats.lerp_(score.nats, 0.02)
                if score.density is not None:
                    self.density.lerp_(score.density, 0.02)
                self.counter += 1

        kept = [p.detach().clone() for p in model.parameters()]
        self.step_of = step  # a replay reads and writes what this refers to
        self.replay, self.wait = captured(step, model)
        with torch.no_grad():
            for p, old in zip(model.parameters(), kept, strict=True):
                p.copy_(old)
            for optimizer in self.optimizers:
                for state in optimizer.state.values():
                    for value in state.values():
                        value.zero_()
            self.counter.zero_()
        synchronize()

    def advance(self) -> None:
        self.replay()
        self.step += 1
        if self.masks and (self.step % EVERY == 0 or self.step == self.cfg.steps):
            self.prune()

    @torch.no_grad()
    def prune(self) -> None:
        self.wait()
        share = share_at(self.step, self.cfg.steps, self.cfg.sparsity or 0.0)
        if share <= 0:
            return
        for tap, matrix in self.model.spike_fed().items():
            self.masks[tap].copy_(largest(matrix.weight, 1 - share))
            matrix.weight.mul_(self.masks[tap])
            self.score.shares[tap].copy_(self.masks[tap].sum(0) / self.model.config.spike_synapses)

    def finish(self, out: Path, models: set[str], provenance: dict) -> dict:
        """Score on the validation part, write what is asked for, and leave the record of the run."""
        found = evaluation.evaluate(self.model, self.corpus.split("valid"))
        job = self.job
        record = {
            "name": job.name,
            "job": asdict(job),
            "steps": self.step,
            "inherits": self.inherits,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "train_bits_per_token": float(self.nats) / np.log(2),
            **{k: v for k, v in asdict(found).items() if k != "predicted"},
        }
        with (out / "results.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        if job.name in models:
            made = {f"train_{k}": v for k, v in asdict(self.cfg).items() if v is not None}
            made |= {"train_steps": self.step, "teacher": job.teacher, "start": job.start, **provenance}
            made |= {"levers": json.dumps(job.levers), "valid_bits_per_byte": found.bits_per_byte}
            checkpoint.save(
                self.model, out / f"{job.name}.pt", provenance={k: v for k, v in made.items() if v}, half=True
            )
        del self.replay, self.step_of  # and the memory of its graph
        return record


def captured(step: Callable[[], None], model: nn.Module) -> tuple[Callable[[], None], Callable[[], None]]:
    """A step as one CUDA graph on a stream of its own, and a wait for it; WARM_UP and more steps have been done."""
    if GPU.type == "cpu":

        def plain() -> None:
            step()
            clear(model)

        plain()
        return plain, synchronize
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
            clear(model)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()
    torch.cuda.synchronize()

    def replay() -> None:
        with torch.cuda.stream(stream):
            graph.replay()

    return replay, stream.synchronize


def synchronize() -> None:
    if GPU.type == "cuda":
        torch.cuda.synchronize()


def clear(model: nn.Module) -> None:
    for p in model.parameters():
        p.grad = None


def initial(name: str, like: Tensor) -> Tensor:
    return wkv_start(like[0][:, None]).to(like) if name.endswith("wkv") else torch.zeros_like(like)


TEXTS: dict[str, Tensor] = {}


def on_gpu(corpus: Corpus) -> Tensor:
    if corpus.sha256 not in TEXTS:
        TEXTS[corpus.sha256] = torch.from_numpy(corpus.split("train").astype(np.int64)).to(GPU)
    return TEXTS[corpus.sha256]
