"""How a command ends: the exit code that shells expect, one line, nothing left behind."""

import builtins
import enum
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import spikegpt
from cli import main as entry
from cli.commands import cli
from exporters.nir import export
from hw_sim import Simulator
from hw_sim.run.streams import score
from spikegpt import Config, SpikeGPT
from tests.conftest import as_in_a_terminal

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-c", "from cli.main import main; main()"]
TRAIN = "--layers 1 --width 8 --ctx 8 --steps 100000 --batch 2 --device cpu --out run"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("signals")
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), path / "tiny.pt")
    (path / "text.txt").write_bytes(b"In the beginning God created the heaven and the earth. " * 2000)
    return path


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", **more}


def start(folder: Path, arguments: str, **more) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": as_in_a_terminal}
    return subprocess.Popen([*COMMAND, *arguments.split()], cwd=folder, env=environment(), **{**pipes, **more})


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_behind_a_checkpoint_from_which_it_goes_on(number, code, folder, tmp_path):
    process = start(tmp_path, f"train --data {folder / 'text.txt'} {TRAIN}")
    while not (tmp_path / "run" / "log.csv").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert err.decode().splitlines()[-1] in ("spikegpt: interrupted", "spikegpt: ended by SIGTERM")
    left = {f.name for f in (tmp_path / "run").iterdir() if not f.name.startswith("events.out.")}  # TensorBoard's
    assert left == {"run.json", "log.csv", "last.pt"}
    assert "--resume" in (tmp_path / "run" / "run.json").read_text()


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_trace_with_its_temporary_folder(number, code, folder, tmp_path):
    (folder / "long.txt").write_bytes((folder / "text.txt").read_bytes() * 200)
    more = f"--data {folder / 'long.txt'} --tokens 1000000 --membrane block0_att_key_lif:0"
    process = start(tmp_path, f"simulate {folder / 'tiny.pt'} --trace t.npz {more}")
    while not list(tmp_path.glob(".t.npz.*")) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.5)  # at work, not between two lines of its start
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_numpy_is_not_given_enums_while_tokens_run(monkeypatch):
    """It would ask their class for methods, by code in Python until 3.12, and drop what a signal raises in there."""
    simulator, asked = Simulator.from_nir(export(SpikeGPT(Config(256, 1, 16)))), []
    score(simulator, np.zeros(300, np.int64))  # what is asked once, to load compiled code, comes before
    monkeypatch.setattr(enum.EnumType, "__getattr__", lambda cls, name: asked.append(name), raising=False)
    score(simulator, np.zeros(300, np.int64))
    assert asked == []


def test_a_closed_pipe_ends_a_command_with_141(folder):
    process = start(folder, "generate tiny.pt --tokens 100000")
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&-", "1>&- 2>&- 0<&-"])
def test_closed_standard_streams_do_not_disturb(closed, folder, tmp_path):
    words = " ".join(f"'{word}'" for word in COMMAND)
    line = f"{words} simulate {folder / 'tiny.pt'} --data {folder / 'text.txt'} --tokens 20 --save-state s.npz {closed}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment(), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [f.name for f in tmp_path.iterdir()] == ["s.npz"]


def test_a_standard_output_that_is_full_is_one_line(folder):
    line = " ".join(f"'{word}'" for word in [*COMMAND, "info", "--preset", "45m"]) + " > /dev/full"
    done = subprocess.run(["bash", "-c", line], env=environment(), capture_output=True)
    assert done.returncode == 2
    assert re.fullmatch(rb"spikegpt: [^\n]*No space left on device\n", done.stderr)


def test_any_locale_and_width_takes_a_text_with_a_cyrillic_name(folder, tmp_path):
    (tmp_path / "текст.txt").write_bytes((folder / "text.txt").read_bytes()[:2000])
    narrow = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii", COLUMNS="20")
    command = [
        *COMMAND,
        "energy-report",
        str(folder / "tiny.pt"),
        "--data",
        "текст.txt",
        "--tokens",
        "20",
        "--out",
        "r",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=narrow, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r" / "report.md").read_bytes().decode()


def test_a_read_only_install_without_a_home_still_computes(folder, tmp_path):
    """In a copy of the package that nobody may write, as a user with neither a home nor a name."""
    if os.geteuid() != 0:
        pytest.skip("only root can become such a user")
    install = tmp_path / "install"
    for package in ("spikegpt", "hw_sim", "exporters", "cli"):
        pattern = re.compile(r"__pycache__")
        for file in (ROOT / package).rglob("*"):
            if file.is_file() and not pattern.search(str(file)):
                target = install / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
    for above in (tmp_path, *tmp_path.parents):
        if above.owner() == "root" and above.is_relative_to("/tmp/pytest-of-root"):
            above.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    command = ["setpriv", "--reuid=65431", "--regid=65431", "--clear-groups", *COMMAND, "info", str(folder / "tiny.pt")]
    for path in (folder, folder.parent):
        path.chmod(0o755)
    env = environment(HOME="/nonexistent", PYTHONPATH=str(install), TMPDIR=str(tmp_path / "tmp"))
    env.pop("XDG_CACHE_HOME", None)
    done = subprocess.run(command, cwd="/", env=env, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        "train --out x --seed -1", f"train --out x --seed {10**22}", "train --out x --device meta",
        "train --out x --lr nan",
        "train --out x --device cuda:x", "train --out x --device nonsense", "train --out x --density nan",
        "generate m --temperature nan", "generate m --temperature inf", "generate m --temperature -1",
        "generate m --top-p nan", "generate m --top-p 0", "generate m --top-p 2", f"generate m --seed {10**22}",
        "generate m --prompt \udcff", "generate m --stop \udcff", "replay a b --dt nan", "replay a b --dt 0",
        "replay a b --dt inf", "energy-report --preset 45m --rate nan", "export m --target loihi --out x --prune nan",
        "simulate m --tolerance nan", "simulate shipped:kjv --verify shipped:kjv --tolerance 2",
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_one_line(arguments, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments.split())
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert arguments.split()[-2] in err
    assert list(tmp_path.iterdir()) == []


def test_a_defect_of_ours_is_told_from_a_comparison_that_failed(run, monkeypatch):
    def fail(*arguments, **more):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(cli.commands["profiles"], "callback", fail)
    code, _, err = run("profiles")
    assert code == entry.CRASHED == 70
    assert "ZeroDivisionError: ours" in err
    assert "defect of spikegpt" in err.splitlines()[-1]


def test_verification_fails_for_another_model_and_passes_for_its_own(run, folder, tmp_path):
    models = {}
    (tmp_path / "tokens.txt").write_bytes(b"the quick brown fox jumps. " * 8)
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = SpikeGPT(Config(256, 2, 24))
        for matrix in (p for p in model.parameters() if p.ndim == 2):
            torch.nn.init.normal_(matrix, std=2 / np.sqrt(matrix.shape[1]))
        models[seed] = tmp_path / f"{seed}.pt"
        spikegpt.save(model, models[seed])
    text = ("--data", tmp_path / "tokens.txt", "--tokens", 100)
    code, out, _ = run("simulate", models[0], *text, "--verify", models[0])
    assert code == 0
    assert "\nagrees: 0.001 of the spikes may differ" in out
    code, out, err = run("simulate", models[0], *text, "--verify", models[1])
    assert code == 1
    assert "\nDISAGREES" in out
    assert "beyond the tolerance" in err
    assert run("simulate", models[0], *text, "--verify", models[1], "--tolerance", 1, "--int8")[0] == 0


def test_a_signal_that_falls_into_a_destructor_ends_the_command_all_the_same():
    class Falls:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.001)  # where Python raises what the handler does, and drops it

    with pytest.raises(entry.Signalled), entry.signals():
        Falls()
        time.sleep(60)


def test_a_signal_while_a_command_is_still_being_imported_is_said_too(monkeypatch, capsys):
    def ended(*names: object) -> None:
        raise entry.Signalled(143)

    real = builtins.__import__
    monkeypatch.setattr("builtins.__import__", lambda *names: ended(*names) if names[0] == "click" else real(*names))
    assert entry.run() == 143
    monkeypatch.undo()
    assert capsys.readouterr().err == "spikegpt: ended by SIGTERM\n"
