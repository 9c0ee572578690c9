"""Runs Lava in a supervised child: a hard time limit, errors with a text, no orphans and no shared memory left."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from exporters.loihi.stages import cut
from hw_sim import fixed_point as fp
from hw_sim.plan import Op, Plan
from spikegpt.errors import UserError

INSTALL = "pip install --no-deps --ignore-requires-python lava-nc==0.10.0 && pip install scipy networkx asteval"
START_S = 60.0  # importing, compiling and forking
TOKEN_S = 2.0  # an upper bound for one time step of a large model
GRACE_S = 5.0  # for multiprocessing's resource tracker to unlink shared memory


@dataclass(frozen=True)
class LavaRun:
    """Logits (T, V) float32, spikes by population (T, n) uint8, and the wall time with Lava's start."""

    logits: np.ndarray
    spikes: dict[str, np.ndarray]
    time_s: float


def run(plan: Plan, tokens: np.ndarray, timeout_s: float | None = None) -> LavaRun:
    """Execute an integer plan as Lava processes on this interpreter, one time step a token.

    Raises UserError when Lava is missing, fails or exceeds `timeout_s` (default: by the number of tokens).
    """
    if not plan.integer:
        raise UserError("Lava runs the integer network: export with --target loihi, or pass a checkpoint")
    if find_spec("lava") is None:
        raise UserError(f"lava-nc is not installed: {INSTALL}")
    limit = timeout_s or START_S + TOKEN_S * len(tokens)
    with tempfile.TemporaryDirectory(prefix="spikegpt-lava-") as name:
        folder = Path(name)
        plan.save(folder / "plan.npz")
        np.save(folder / "tokens.npy", np.asarray(tokens, np.int64))
        started = time.perf_counter()
        supervise([sys.executable, "-m", "exporters.loihi.worker", name], folder, limit)
        return collect(plan, folder, time.perf_counter() - started)


def supervise(command: list[str], folder: Path, limit_s: float) -> None:
    """Run a command in a session of its own until it ends or `limit_s` passes; raises UserError unless it succeeded."""
    root = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)}
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env=env
        )
        deadline = time.monotonic() + limit_s
        try:
            # A dead process of the network leaves the child waiting: its error line tells before the limit does.
            while child.poll() is None and time.monotonic() < deadline and not _error(folder):
                time.sleep(0.05)
        finally:
            timed_out = child.poll() is None and not _error(folder)
            kill_session(child)
    if error := _error(folder):
        raise UserError(f"Lava: {error}")
    if timed_out:
        raise UserError(f"Lava did not finish within {limit_s:.0f} s and was stopped; last output: {_tail(folder)}")
    if child.returncode != 0 or not (folder / "done").exists():
        raise UserError(f"Lava ended with code {child.returncode}: {_tail(folder)}")


def kill_session(child: subprocess.Popen) -> None:
    """End every process of the child's session; the resource tracker ignores SIGTERM and cleans shared memory up."""
    for number, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            child.poll()
            try:
                os.killpg(child.pid, 0)
            except ProcessLookupError:
                child.wait()
                return
            time.sleep(0.02)


def collect(plan: Plan, folder: Path, time_s: float) -> LavaRun:
    """Put the files of all stages together."""
    e, n_out = plan.field("e"), plan.field("n_out")
    spikes: dict[str, np.ndarray] = {}
    logits = np.zeros(0)
    for k, stage in enumerate(cut(plan)):
        with np.load(folder / f"stage{k}.npz") as stored:
            raster = stored["spikes"]
            logits = stored["logits"] if stored["logits"].size else logits
        for row in stage.rows:
            if plan.table[row, 0] == Op.LIF:
                spikes[plan.names[row]] = raster[:, e[row] : e[row] + n_out[row]]
    return LavaRun((logits / fp.ONE).astype(np.float32), spikes, time_s)


def _error(folder: Path) -> str:
    lines = (folder / "log").read_text(errors="replace").splitlines()
    return next((line.removeprefix("LAVA-ERROR ") for line in lines if line.startswith("LAVA-ERROR ")), "")


def _tail(folder: Path) -> str:
    lines = (folder / "log").read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "none"
