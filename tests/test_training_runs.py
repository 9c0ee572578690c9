"""Training as users run it: killed and resumed, cut into micro-batches, spread over processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spikegpt import UserError, checkpoint
from spikegpt.corpus import load_corpus
from spikegpt.training import TrainConfig, train
from tests.test_train import small

SCRIPT = """
import sys
from pathlib import Path
import torch
from spikegpt.corpus import load_corpus
from spikegpt.training import TrainConfig, train
from tests.test_train import small
torch.set_num_threads(1)
options = eval(sys.argv[2])
corpus = load_corpus(sys.argv[1])
train(small(), corpus, TrainConfig(**options), Path(sys.argv[3]), resume="resume" in sys.argv, device="cpu")
"""
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "fox.txt"
    path.write_bytes(b"the quick brown fox jumps over the lazy dog; " * 400)
    return path


def command(text: Path, options: dict, out: Path, *more: str) -> list[str]:
    return ["-c", SCRIPT, str(text), repr(options), str(out), *more]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def losses(out: Path) -> list[list[str]]:
    """The log without the speeds, which no two runs share."""
    return [line.split(",")[:-1] for line in (out / "log.csv").read_text().splitlines()]


def test_a_run_killed_outright_resumes_with_the_losses_of_an_uninterrupted_one(text, tmp_path):
    options = {"steps": 320, "batch": 2, "ctx": 16, "warmup": 5, "eval_every": 160, "eval_tokens": 400}
    run = {"env": environment(), "cwd": ROOT}  # one thread: the order of float additions is part of a loss
    subprocess.run([sys.executable, *command(text, options, tmp_path / "whole")], check=True, **run)
    cut = tmp_path / "cut"
    process = subprocess.Popen([sys.executable, *command(text, options, cut)], **run)
    while not (cut / "last.pt").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # it was still running
    assert not (cut / "model.pt").exists()
    subprocess.run([sys.executable, *command(text, options, cut, "resume")], check=True, **run)
    whole, resumed = losses(tmp_path / "whole"), losses(cut)
    assert resumed[-2:] == whole[-2:]  # rows that lie wholly behind the checkpoint
    a, b = (checkpoint.read(run / "model.pt")["model"] for run in (tmp_path / "whole", cut))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_two_processes_have_the_loss_of_one_at_the_same_global_batch(text, tmp_path):
    options = {"steps": 50, "batch": 4, "ctx": 16, "warmup": 5, "eval_tokens": 400, "density": 0.03}
    _, score = train(small(), load_corpus(str(text)), TrainConfig(**options), tmp_path / "one")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    launch += command(text, options, tmp_path / "two")[2:]
    subprocess.run([sys.executable, *launch], env=environment(), cwd=ROOT, check=True, capture_output=True)
    one, two = losses(tmp_path / "one")[-1], losses(tmp_path / "two")[-1]
    assert [float(x) for x in two if x] == pytest.approx([float(x) for x in one if x], rel=2e-3)
    stored = json.loads((tmp_path / "two" / "run.json").read_text())
    assert stored["valid"]["bits_per_byte"] == pytest.approx(score.bits_per_byte, rel=2e-3)


def test_micro_batches_give_the_loss_of_the_whole_batch(text, tmp_path):
    rows: dict[int, list] = {1: [], 2: []}
    for parts, seen in rows.items():
        options = {"steps": 50, "batch": 4, "ctx": 16, "warmup": 5, "eval_tokens": 400, "accumulate": parts}
        train(small(), load_corpus(str(text)), TrainConfig(**options), tmp_path / str(parts), report=seen.append)
    assert rows[2][-1]["train_bits_per_byte"] == pytest.approx(rows[1][-1]["train_bits_per_byte"], rel=2e-3)


def test_a_batch_that_cannot_be_shared_out_and_a_missing_device_are_refused(text, tmp_path):
    with pytest.raises(UserError, match="does not divide"):
        train(small(), load_corpus(str(text)), TrainConfig(batch=3, accumulate=2, ctx=16), tmp_path / "a")
    with pytest.raises(UserError, match="'nowhere'"):
        train(small(), load_corpus(str(text)), TrainConfig(ctx=16), tmp_path / "b", device="nowhere")
    assert not (tmp_path / "a").exists()


def test_the_log_holds_the_rate_of_every_population(text, tmp_path):
    train(small(), load_corpus(str(text)), TrainConfig(steps=2, batch=2, ctx=16, eval_tokens=400), tmp_path)
    header = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
    rates = [name for name in header if name.startswith("rate_")]
    assert rates == [
        *(f"rate_att_{name}" for name in ("key", "value", "receptance", "output")),
        *(f"rate_ffn_{name}" for name in ("key", "receptance", "value")),
    ]
