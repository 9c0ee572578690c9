"""Trains many small models side by side on one GPU, for the sweeps of docs/results.md.

    python -m bench.gpu_sweep JOBS.json --data enwik8-4MB.txt --out runs --seconds 500 [--models a b ..]

JOBS.json is a list of stages, each a list of jobs that train at once; a job may name an earlier one as its teacher or
start. Model, loss, schedule, windows and pruning are those of `spikegpt train`, but a step is captured once as a CUDA
graph and replayed on a stream of its own: a small model alone leaves nearly all of a GPU idle. Products are in TF32.
Every finished job adds a line to OUT/results.jsonl, those named by --models leave a checkpoint too; what --seconds cut
off is scored where it stands.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import torch
from torch import nn

from bench.gpu_trial import GPU, Job, Trial, synchronize
from spikegpt import checkpoint, evaluation
from spikegpt.corpus import Corpus, load_corpus

LAUNCHERS = 6 if GPU.type == "cuda" else 1  # threads


def launch(trials: list[Trial], until: float) -> None:
    """Replay the graphs of some trials in turn, from a thread of its own: launching takes as long as computing."""
    running, rounds = list(trials), 0
    while running and time.perf_counter() < until:
        for trial in running:
            trial.advance()
        rounds += 1
        if rounds % 8 == 0:
            for trial in running:
                trial.wait()
        running = [t for t in running if t.step < t.cfg.steps]


def run_stage(jobs: list[Job], begin: Callable[[Job], Trial], until: float, done: Callable[[Trial], None]) -> None:
    """Train the jobs of a stage side by side, each to its own end or the deadline."""
    began = time.perf_counter()
    trials = [begin(job) for job in jobs]
    print(f"captured {len(trials)} in {time.perf_counter() - began:.1f} s", flush=True)
    began = time.perf_counter()
    threads = [Thread(target=launch, args=(trials[i::LAUNCHERS], until)) for i in range(min(LAUNCHERS, len(trials)))]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(10) if threads[0].is_alive() else time.sleep(1)
        told = " ".join(f"{t.job.name}:{t.step}:{float(t.nats) / np.log(2):.3f}/{float(t.density):.3f}" for t in trials)
        print(f"{time.perf_counter() - began:.0f} s {told}", flush=True)
    synchronize()
    print(
        f"stage of {len(trials)}: {sum(t.step for t in trials)} steps, {time.perf_counter() - began:.1f} s", flush=True
    )
    for trial in trials:
        done(trial)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--models", nargs="*", default=[])
    args = parser.parse_args()
    until = time.perf_counter() + args.seconds
    torch.set_float32_matmul_precision("high")
    evaluation.CHUNK = 4096  # fewer, longer calls
    args.out.mkdir(parents=True, exist_ok=True)
    texts: dict[str, Corpus] = {}
    models: dict[str, nn.Module] = {}

    def corpus_of(job: Job) -> Corpus:
        path = job.text or args.data
        if path not in texts:
            texts[path] = load_corpus(path)
        return texts[path]

    def model_of(name: str | None) -> nn.Module | None:
        if name is None:
            return None
        if name not in models:
            models[name] = checkpoint.load(Path(name))
        return models[name]

    def begin(job: Job) -> Trial:
        teacher, start = model_of(job.teacher), model_of(job.start)
        return Trial(job, corpus_of(job), teacher and teacher.to(GPU).requires_grad_(False), start)

    def done(trial: Trial) -> None:
        corpus = trial.corpus
        provenance = {
            "text": corpus.name,
            "text_sha256": corpus.sha256,
            "torch": str(torch.__version__),
            "precision": "TF32",
        }
        provenance |= {
            "device": torch.cuda.get_device_name() if GPU.type == "cuda" else "CPU",
            "script": "bench/gpu_sweep.py",
        }
        record = trial.finish(args.out, set(args.models), provenance)
        models[trial.job.name] = trial.model
        show = {k: record[k] for k in ("steps", "bits_per_byte", "density")}
        print(
            trial.job.name,
            json.dumps(show),
            {k: round(v, 3) for k, v in record["rates"].items() if "head" in k},
            flush=True,
        )

    for stage in json.loads(args.jobs.read_text()):
        if time.perf_counter() < until:
            run_stage([Job(**job) for job in stage], begin, until, done)


if __name__ == "__main__":
    main()
