"""Whatever ends a Lava run from outside: one line, an exit code, and nothing of the run stays behind."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from exporters import nir as exporter
from exporters.loihi.lava import supervisor
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from spikegpt import Config, SpikeGPT, UserError
from tests.conftest import VOCAB, as_in_a_terminal, lively_model
from tests.leftovers import assert_gone, family, shared_memory

lava = pytest.mark.lava
START_LIMIT_S = 120  # on a machine that does nothing else


def mark_of(folder: Path) -> str:
    """What marks the processes whose temporary folder is this one or lies in it."""
    return f"TMPDIR={folder}"


def actor(folder: Path, label: str) -> int:
    """The OS process of one of the run's Lava processes."""
    (found,) = [p for p in family(mark_of(folder)) if Path(f"/proc/{p}/comm").read_text().strip() == label]
    return found


def steps_done(folder: Path) -> int:
    files = list(folder.glob("spikegpt-lava-*/steps.npy"))
    try:
        return int(np.load(files[0]).min()) if files else 0
    except (OSError, ValueError):
        return 0


def disturbed(folder: Path, disturb) -> tuple[int, str, str]:
    """`spikegpt simulate --backend lava` on a long text; `disturb(the command's process)` once Lava works.

    Returns exit code, output and errors; asserts that no process, shared memory or temporary file is left.
    """
    exporter.write(quantize(exporter.export(SpikeGPT(Config(256, 2, 16)))), folder / "tiny.nir")
    tmp = folder / "tmp"
    tmp.mkdir()
    command = [sys.executable, "-c", "from cli.main import main; main()"]
    command += ["simulate", str(folder / "tiny.nir"), "--backend", "lava", "--tokens", "20000"]
    env = {**os.environ, "TMPDIR": str(tmp)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "preexec_fn": as_in_a_terminal}
    run = subprocess.Popen(command, env=env, **pipes)
    try:
        deadline = time.monotonic() + START_LIMIT_S * supervisor.patience()
        while not steps_done(tmp) and time.monotonic() < deadline and run.poll() is None:
            time.sleep(0.05)
        assert steps_done(tmp), run.communicate()[1] if run.poll() is not None else "Lava did not start"
        mapped = shared_memory(family(mark_of(tmp)))
        assert mapped
        disturb(run, tmp)
        out, err = run.communicate(timeout=START_LIMIT_S * supervisor.patience())
    finally:
        run.kill()
        run.communicate()
    assert_gone(mark_of(tmp), mapped)  # after SIGKILL of the command, its child notices by itself
    return run.returncode, out, err


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: multiprocessing's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="t-") as name:
        yield Path(name)


@lava
def test_a_killed_lava_process_ends_the_command_with_its_name(folder):
    code, out, err = disturbed(folder, lambda run, tmp: os.kill(actor(tmp, "block0"), signal.SIGKILL))
    assert (code, out) == (2, "")
    assert re.search(r"^spikegpt: Lava: process block0 was killed by signal 9 \(SIGKILL\)\n\Z", err, re.MULTILINE)
    assert list((folder / "tmp").iterdir()) == []


@lava
def test_ctrl_c_ends_the_command_with_130_and_leaves_nothing(folder):
    code, out, err = disturbed(folder, lambda run, tmp: run.send_signal(signal.SIGINT))
    assert (code, out, err.splitlines()[-1]) == (130, "", "spikegpt: interrupted")
    assert list((folder / "tmp").iterdir()) == []


@lava
def test_lava_ends_by_itself_when_the_command_is_killed(folder):
    code, _, _ = disturbed(folder, lambda run, tmp: run.kill())
    assert code == -signal.SIGKILL


@lava
@pytest.mark.slow
def test_a_time_out_names_the_process_that_the_others_wait_for(folder, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    plan = build(quantize(exporter.export(lively_model("spike-driven", n_embd=16))))
    mapped: set[Path] = set()
    looks_since = 0

    def stop_block1(done: int) -> None:
        nonlocal looks_since
        if mapped:
            looks_since += 1
        elif done:
            mapped.update(shared_memory(family(mark_of(folder))))
            os.kill(actor(folder, "block1"), signal.SIGSTOP)

    def clock() -> float:
        return time.monotonic() + (10 * limit if looks_since > 20 else 0)

    limit = 10_000.0  # passes a second after the process was stopped, however slow the machine is
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(**{**vars(time), "monotonic": clock}))
    long = np.random.default_rng(0).integers(0, VOCAB, 100_000)
    # Stopped between two steps, it is as far as the others.
    where = r"(process block1 was at step \d+ of 100000|every process had finished \d+ of 100000 steps)"
    with pytest.raises(UserError, match=rf"within 10000 s and was stopped; {where}"):
        supervisor.run(plan, long, timeout_s=limit, progress=stop_block1)
    assert mapped
    assert_gone(mark_of(folder), mapped)
    assert list(folder.iterdir()) == []


def test_an_interpreter_that_is_none_or_has_no_lava_is_named_in_one_line(tokens, tmp_path):
    plan = build(quantize(exporter.export(lively_model("spike-driven", n_embd=16))))
    with pytest.raises(UserError, match="no-such-python cannot be started: No such file"):
        supervisor.run(plan, tokens, python=str(tmp_path / "no-such-python"))
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # no site-packages: neither numpy nor Lava
    bare.chmod(0o755)
    with pytest.raises(UserError, match="No module named 'numpy'"):
        supervisor.run(plan, tokens, python=str(bare))
