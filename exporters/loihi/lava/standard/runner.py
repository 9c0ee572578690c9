"""Runs an integer plan as standard Lava processes, in a supervised child that sees numpy and lava-nc alone."""

import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from exporters.loihi.lava.compat import INSTALL
from exporters.loihi.lava.runtime import write_runtime
from exporters.loihi.lava.standard.nodes import Kind, Schedule
from exporters.loihi.lava.standard.schedule import MAX_PROCESSES, schedule
from exporters.loihi.lava.supervisor import START_S, TOKEN_S, LavaRun, patience, supervise
from hw_sim.plan import Plan
from hw_sim.plan import fixed_point as fp
from spikegpt.errors import UserError
from spikegpt.temporaries import workspace

PROCESS_S = 0.5  # an upper bound for starting one of many processes


def run(
    plan: Plan, tokens: np.ndarray, timeout_s: float | None = None, python: str | None = None, generate: int = 0
) -> LavaRun:
    """Run `tokens` (T,) and so many more as to `generate` on `python` (default: this interpreter).

    Text streams, one token a step. A generated token is the likeliest (of equals the first) by the logits of the one
    before, so that a token enters only when the one before has left; the state stands still meanwhile.
    Raises UserError when the plan cannot be lowered or needs more than MAX_PROCESSES processes, on a token out of
    range, and when Lava is missing, fails or exceeds `timeout_s` (default: by the number of steps and
    by how busy the machine is).
    """
    lowered, tokens = schedule(plan, generating=generate > 0), np.ascontiguousarray(tokens, np.int64)
    if tokens.ndim != 1 or not tokens.size or tokens.min() < 0 or tokens.max() >= plan.n_vocab:
        raise UserError(
            f"the standard Lava network takes one text of at least one token, each in 0..{plan.n_vocab - 1}"
        )
    if len(lowered.nodes) > MAX_PROCESSES:
        raise UserError(
            f"the standard Lava network would need {len(lowered.nodes)} processes, more than {MAX_PROCESSES}; use a "
            f"model with fewer layers, or the Lava network of one process a block"
        )
    if python is None and find_spec("lava") is None:
        raise UserError(f"lava-nc is not installed: {INSTALL}")
    if python is not None and shutil.which(python) is None:
        raise UserError(f"{python}: no such Python interpreter")
    n_tokens = len(tokens) + generate
    work_s = START_S + PROCESS_S * len(lowered.nodes) + TOKEN_S * lowered.steps(n_tokens)
    limit = timeout_s or patience() * work_s
    with workspace("spikegpt-lava") as folder:
        plan.save(folder / "plan.npz")
        np.save(folder / "tokens.npy", tokens)
        np.save(folder / "n_tokens.npy", n_tokens)
        write_runtime(folder / "runtime")
        started = time.perf_counter()
        command = [python or sys.executable, "-m", "exporters.loihi.lava.standard.worker", str(folder)]
        supervise(command, folder, limit, folder / "runtime")
        return _collect(lowered, folder, time.perf_counter() - started)


def _collect(lowered: Schedule, folder: Path, time_s: float) -> LavaRun:
    with np.load(folder / "logits.npz") as stored:
        logits = (stored["logits"] / fp.ONE).astype(np.float32)
    spikes: dict[str, np.ndarray] = {}
    for node in lowered.nodes:
        if node.kind == Kind.RECORDER:
            with np.load(folder / f"{node.name}.npz") as stored:
                spikes.update(stored)
    return LavaRun(logits, spikes, time_s)
