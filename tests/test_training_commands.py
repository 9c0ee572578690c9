"""What a user sees of a training run: settings from a file, progress on a terminal and in a log, curves afterwards."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from cli import progress
from spikegpt.run_plots import panels, read_curves

TEXT = b"the quick brown fox jumps over the lazy dog; " * 300
SMALL = ("--layers", "1", "--width", "16", "--ctx", "16", "--batch", "2", "--data", "text.txt", "--device", "cpu")
COLUMNS = 80


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_bytes(TEXT)
    return tmp_path


def settings_of(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())["provenance"]


def test_settings_come_from_a_file_and_options_win(place, run):
    (place / "run.yaml").write_text("steps: 3\nlr: 0.01\ndropout: 0.1\neval-every: 7\nbf16: true\nout: b\n")
    assert run("train", *SMALL, "--settings", "run.yaml", "--steps", 2, "--warmup", 1)[0] == 0
    told = settings_of(place / "b")
    assert (told["train_steps"], told["train_lr"], told["train_dropout"]) == (2, 0.01, 0.1)
    assert (told["train_eval_every"], told["train_bf16"], told["train_warmup"]) == (7, True, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stepz: 3\n", "did you mean steps?"),
        ("force: true\n", "'force' is no setting"),
        ("steps: many\n", "not a valid integer"),
        ("lr: [1, 2]\n", "run.yaml"),
        ("- 3\n", "run.yaml"),
        ("variant: spiky\n", "'spiky' is not one of"),
        ("teacher: gone.pt\n", "gone.pt: no such file"),
    ],
)
def test_a_setting_that_cannot_be_is_named_in_one_line(text, said, place, run):
    (place / "run.yaml").write_text(text)
    code, out, err = run("train", *SMALL, "--out", "x", "--settings", "run.yaml")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert not (place / "x").exists()


def test_a_piped_run_says_a_plain_line_now_and_then(run, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    code, out, err = run("train", *SMALL, "--steps", 60, "--out", "a")
    assert code == 0
    what, *lines = err.splitlines()
    assert re.fullmatch(r"spike-driven, [\d,]+ parameters; 1,920 tokens, 0\.16 times those of text\.txt", what)
    assert re.fullmatch(r"step 1 of 60, \d+:\d\d:\d\d left", lines[0])
    assert re.fullmatch(r"step 60 of 60, 0:00:00 left; .* bits per byte, .* tokens/s, density .*", lines[59])
    assert lines[60].startswith("scoring ")
    assert "\x1b" not in err
    assert "bits per byte" in out


def test_json_of_a_run_comes_without_progress(run, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    code, out, err = run("train", *SMALL, "--steps", 2, "--out", "a", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["model"] == "a/model.pt"


def test_80_columns_hold_bar_step_time_and_quality(place):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    env = {**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    env.pop("COLUMNS", None)
    command = [sys.executable, "-m", "spikegpt", "train", *SMALL, "--steps", "200", "--out", "a"]
    root = Path(__file__).parents[1]
    env["PYTHONPATH"] = f"{root}{os.pathsep}{env.get('PYTHONPATH', '')}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 1 << 16):
                shown += block
        except OSError:  # the other side was closed
            pass
        assert process.wait() == 0
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert all(len(line) <= COLUMNS for line in lines)
    assert any(re.match(r"training +\S*━\S* +\d+/200 +[\d:-]+$", line) for line in lines)
    assert any(re.match(r"\d\.\d{3} bits per byte, .*density", line) for line in lines)
    assert any(line.startswith("scoring ") for line in lines)
    assert "".join(lines).count(" parameters; ") == 1


def test_curves_of_runs_lie_over_one_another(place, run):
    for name, variant in (("a", "spike-driven"), ("b", "canonical")):
        assert run("train", *SMALL, "--variant", variant, "--steps", 55, "--out", name)[0] == 0
    code, out, _ = run("plot", "a", "b", "--out", "curves.svg")
    assert (code, out) == (0, "curves.svg\n")
    before = (place / "curves.svg").read_bytes()
    drawn = json.loads(run("plot", "a", "b", "--out", "curves.svg", "--json")[1])
    assert (place / "curves.svg").read_bytes() == before
    assert set(drawn["bits per byte, training text"]) == {"a", "b"}
    own = read_curves(Path("a"))
    (tokens, density), *_ = own.points("density")
    assert tokens == 50 * 2 * 16 / 1e6
    assert drawn["binary SynOps a token"]["a"][0] == [tokens, density * (13 * 16 * 16 + 256 * 16)]
    assert "spikes a token and neuron, att_key" in panels([own])
    assert run("plot", "a", "--out", "curves.png")[0] == 0
    assert (place / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_plotted_is_named_in_one_line(place, run):
    run("train", *SMALL, "--steps", 2, "--out", "a")
    (place / "c").mkdir()
    (place / "d").mkdir()
    (place / "c" / "run.json").write_bytes((place / "a" / "run.json").read_bytes())
    (place / "d" / "run.json").write_bytes((place / "a" / "run.json").read_bytes())
    (place / "d" / "log.csv").write_text("step,tokens\n1,many\n")
    for name, make in (("e", lambda log: log.write_text("step,tokens,train_bits_per_byte\n1,32,\n")), ("f", os.mkfifo)):
        (place / name).mkdir()
        (place / name / "run.json").write_bytes((place / "a" / "run.json").read_bytes())
        make(place / name / "log.csv")
    for arguments, said in (
        (("missing",), "missing: no such folder"),
        (("e",), "e/log.csv: holds no rows yet"),
        (("f",), "f/log.csv is not a regular file"),
        (("c",), "c/log.csv"),
        (("d",), "d/log.csv: not the table"),
        (("a", "./a"), "two runs are called a"),
    ):
        code, out, err = run("plot", *arguments, "--out", "x.svg")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert said in err
    assert run("plot", "a", "--out", "x.pdf")[0] == 2
    assert not (place / "x.svg").exists()


def test_scalars_go_to_tensorboard(place, run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert run("train", *SMALL, "--steps", 100, "--out", "a")[0] == 0
    events = EventAccumulator(str(place / "a"))
    events.Reload()
    rows = (place / "a" / "log.csv").read_text().splitlines()
    found = [(event.step, event.value) for event in events.Scalars("train_bits_per_byte")]
    at = rows[0].split(",").index("train_bits_per_byte")
    assert [step for step, _ in found] == [50, 100]
    assert [value for _, value in found] == pytest.approx([float(row.split(",")[at]) for row in rows[1:]])
    assert "rate/att_key" in events.Tags()["scalars"]
