"""Runs Lava in a supervised child: a hard time limit, errors with a text, no orphans and no shared memory left.

Needs numpy and the files of `runtime.RUNTIME` alone: the exported folder runs under the same supervision.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exporters.loihi.lava.blocks.cut import cut
from exporters.loihi.lava.runtime import ROOT, write_runtime
from exporters.loihi.lava.watch import ERROR
from hw_sim.plan import Plan
from hw_sim.plan import fixed_point as fp
from spikegpt.errors import UserError
from spikegpt.temporaries import workspace

START_S = 60.0  # importing, compiling and forking, on a machine that does nothing else
TOKEN_S = 2.0  # likewise an upper bound for one time step of a large model
GRACE_S = 5.0  # for multiprocessing's resource tracker to unlink shared memory
POLL_S = 0.05
SOCKET_ROOM = 70  # characters of a folder in which multiprocessing can still name a socket, of at most 107


@dataclass(frozen=True)
class LavaRun:
    """Logits (T, V) float32, spikes by population (T, n) uint8, and the wall time with Lava's start."""

    logits: np.ndarray
    spikes: dict[str, np.ndarray]
    time_s: float


def run(
    plan: Plan,
    tokens: np.ndarray,
    timeout_s: float | None = None,
    python: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> LavaRun:
    """Execute an integer plan as Lava processes, one a stage, one time step a token.

    `python` is the interpreter that has Lava (default: this one). `progress` is told the tokens done since its last
    call. Raises UserError when Lava is missing, fails or exceeds `timeout_s` (default: by the number of tokens and by
    how busy the machine is).
    """
    if not plan.integer:
        raise UserError("Lava runs the integer network: export with --target loihi, or pass a checkpoint")
    tokens = np.asarray(tokens, np.int64)
    limit, stages, done = timeout_s or patience() * (START_S + TOKEN_S * len(tokens)), cut(plan), 0
    with workspace("spikegpt-lava") as folder:
        write_runtime(folder / "runtime")
        plan.save(folder / "weights.npz")
        np.save(folder / "tokens.npy", tokens)
        np.save(folder / "steps.npy", np.zeros(len(stages), np.int64))

        def watch() -> str:
            nonlocal done
            steps = np.load(folder / "steps.npy")
            progress(int(steps.min()) - done)
            done, slowest = int(steps.min()), int(steps.argmin())  # the first: those behind it wait for its signals
            if not steps.any():
                return "no process had finished its first step"
            if steps.min() == steps.max():
                return f"every process had finished {done} of {len(tokens)} steps"
            return f"process {stages[slowest].label} was at step {done + 1} of {len(tokens)}"

        started = time.perf_counter()
        interpreter = sys.executable if python is None else python
        if os.sep in interpreter:
            interpreter = str(Path(interpreter).absolute())  # the child starts elsewhere
        command = [interpreter, "-m", "exporters.loihi.lava.blocks.worker", str(folder)]
        supervise(command, folder, limit, folder / "runtime", watch)
        progress(len(tokens) - done)
        return collect(plan, folder, time.perf_counter() - started)


def patience() -> float:
    """How many times longer than on an idle machine things may take now: processes that want a core, over cores."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def supervise(
    command: list[str], folder: Path, limit_s: float, root: Path = ROOT, watch: Callable[[], str] = lambda: ""
) -> None:
    """Run a command in a session of its own until it ends or `limit_s` passes; raises UserError unless it succeeded.

    It imports from `root` first. `watch` is called again and again and says where the run stands.
    """
    # What the user put on the path is made for this interpreter, not for another.
    inherited = os.environ.get("PYTHONPATH") if command[0] == sys.executable else None
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in (str(root), inherited) if p)}
    if len(str(folder)) < SOCKET_ROOM:
        env["TMPDIR"] = str(folder)  # multiprocessing's sockets vanish with the run
    cwd, where = None if root == ROOT else root, ""
    with (folder / "log").open("wb") as log:
        try:
            child = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env=env, cwd=cwd
            )
        except OSError as error:
            raise UserError(f"{command[0]} cannot be started: {error.strerror}") from error
        deadline = time.monotonic() + limit_s
        try:
            # A dead process of the network leaves the child waiting: its error line tells before the limit does.
            while child.poll() is None and time.monotonic() < deadline and not _error(folder):
                time.sleep(POLL_S)
                where = watch()
        finally:
            timed_out = child.poll() is None and not _error(folder)
            kill_session(child)
    if told := _error(folder):
        raise UserError(f"Lava: {told}")
    if timed_out:
        where = f"{where}; " if where else ""
        raise UserError(
            f"Lava did not finish within {limit_s:.0f} s and was stopped; {where}last output: {_tail(folder)}"
        )
    if child.returncode != 0 or not (folder / "done").exists():
        raise UserError(f"Lava ended with code {child.returncode}: {_tail(folder)}")


def kill_session(child: subprocess.Popen) -> None:
    """End every process of the child's session; the resource tracker ignores SIGTERM and cleans shared memory up."""
    for number, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
            os.killpg(child.pid, signal.SIGCONT)  # a stopped process would not hear it
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
    spikes: dict[str, np.ndarray] = {}
    logits = np.zeros(0)
    for k, stage in enumerate(cut(plan)):
        with np.load(folder / f"stage{k}.npz") as stored:
            raster = stored["spikes"]
            logits = stored["logits"] if stored["logits"].size else logits
        spikes |= {p.name: raster[:, p.place] for p in plan.populations if p.row in stage.rows}
    return LavaRun((logits / fp.ONE).astype(np.float32), spikes, time_s)


def _error(folder: Path) -> str:
    lines = (folder / "log").read_text(errors="replace").splitlines(keepends=True)
    found = (line for line in lines if line.startswith(ERROR) and line.endswith("\n"))
    return next((line.removeprefix(ERROR).strip() for line in found), "")


def _tail(folder: Path) -> str:
    lines = (folder / "log").read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "none"
