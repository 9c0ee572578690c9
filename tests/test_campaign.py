"""A short slice of the campaign, and that the campaign is able to fail."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.campaign import judge, kinds, table, trial
from tests.campaign.damage import DAMAGE
from tests.campaign.documents import forge_json, forge_yaml
from tests.campaign.journal import Journal


def campaign(*arguments: object) -> subprocess.CompletedProcess:
    """A run in a process of its own: it forks."""
    command = [sys.executable, "-m", "tests.campaign", *map(str, arguments)]
    return subprocess.run(command, cwd=trial.ROOT, env={**os.environ}, capture_output=True, text=True)


def test_a_slice_of_the_campaign_finds_nothing(tmp_path):
    slice_of = ("checkpoint .pt", "flat .pth", ".nir", "text .zst", "tokenized folder", "price profile", "tokenize")
    only = [word for name in slice_of for word in ("--only", name)]
    done = campaign("--mutants", 60, "--kills", 3, "--seed", 2, *only, "--page", tmp_path / "page.md")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "python -m tests.campaign --mutants 60 --kills 3 --seed 2" in (tmp_path / "page.md").read_text()


READER = """
import json, os, pathlib, sys
text = pathlib.Path("read.txt").read_bytes()
if text == b"honest": print(json.dumps({"value": 1}))
elif text == b"other": print(json.dumps({"value": 2}))
elif text == b"refused": print("run.py: read.txt is not what it was", file=sys.stderr); sys.exit(2)
elif text == b"colours": print("run.py: \\x1b[2J", file=sys.stderr); sys.exit(2)
elif text == b"leaves": pathlib.Path(".read.part").touch()
elif text == b"dies": os.abort()
elif text == b"sleeps": import time; time.sleep(1000)
elif text == b"spins":
    while True: pass
elif text == b"grows": held = [b"x" * (1 << 20) for _ in range(1 << 12)]
else: raise ValueError("what is this")
"""


@pytest.fixture
def reader(tmp_path, monkeypatch) -> Path:
    """A folder with a reader of every vice, and limits that a test can wait for."""
    (tmp_path / "stock").mkdir()
    (tmp_path / "stock" / "run.py").write_text(READER)
    (tmp_path / "stock" / "read.txt").write_text("honest")
    for name, value in (("CPU_S", 1), ("WALL_S", 2), ("MEMORY", 64 << 20)):
        monkeypatch.setattr(trial, name, value)
    return tmp_path


@pytest.mark.parametrize(
    "text, notices, outcome",
    [
        ("honest", kinds.CONTENT, judge.SAME),
        ("refused", kinds.CONTENT, judge.REFUSED),
        ("other", kinds.NOTHING, judge.OTHER),
        ("other", kinds.DAMAGE, judge.SILENT),
        ("colours", kinds.NOTHING, judge.TRACEBACK),
        ("leaves", kinds.NOTHING, judge.FILES),
        ("dies", kinds.NOTHING, judge.TRACEBACK),
        ("sleeps", kinds.NOTHING, judge.HANG),
        ("spins", kinds.NOTHING, judge.HANG),
        ("grows", kinds.NOTHING, judge.MEMORY),
        ("anything", kinds.NOTHING, judge.TRACEBACK),
    ],
)
def test_every_kind_of_failure_is_seen(text, notices, outcome, reader):
    target = kinds.Target("read.txt", DAMAGE[0], notices)
    kind = kinds.Kind("mine", (target,), ("run.py",), ("run.py",))
    judge.prepare(kind, reader / "stock", reader / "work")
    expected = judge.answer(kind, trial.attempt(kind.command, reader / "work"), reader / "work")
    (reader / "work" / "read.txt").write_text(text)
    before = judge.contents(reader / "work")
    said = trial.attempt(kind.command, reader / "work")
    found, note = judge.weigh(kind, target, "damage", said, expected, before, reader / "work")
    assert found == outcome, (note, said)
    if text == "anything":
        assert note.startswith("ValueError @ ")


@pytest.mark.parametrize("target", kinds.TARGETS.values(), ids=lambda target: target.path)
def test_mutants_are_the_same_for_the_same_seed(target):
    """And never the honest bytes."""
    samples = {
        forge_json: b'{"a": [1, 2.5, "x"], "b": {"c": null}}',
        forge_yaml: b"a: [1, 2.5, x]\nb: {c: 1}\n",
    }
    data = samples.get(target.forge, bytes(range(256)) * 8)
    for change in (*DAMAGE, *([target.forge] if target.forge in samples else [])):
        made = [change(data, np.random.default_rng(5)) for _ in range(2)]
        assert made[0] == made[1]


def test_the_table_adds_up_and_names_a_failure():
    records = [
        {
            "what": "mutant",
            "kind": "text",
            "number": k,
            "mutator": "bits",
            "outcome": o,
            "note": n,
            "cpu_s": 1.0,
            "memory": 0,
        }
        for k, (o, n) in enumerate([(judge.SAME, ""), (judge.REFUSED, ""), (judge.TRACEBACK, "KeyError @ a.py:3: 'x'")])
    ]
    assert "| **all** | 3 | **1** | **1** | **0** | **1** |" in table.mutants_table(records)
    (line,) = table.failures(records)
    assert "KeyError @ a.py:3" in line
    assert "number 2" in line


def test_a_journal_goes_on_behind_the_last_whole_line_and_refuses_another_seed(tmp_path):
    first = Journal(tmp_path / "j", 1)
    for number in range(3):
        first.add({"what": "mutant", "number": number})
    cut = (tmp_path / "j").read_text()[:-5]
    (tmp_path / "j").write_text(cut)
    assert [r["number"] for r in Journal(tmp_path / "j", 1).of("mutant")] == [0, 1]
    Journal(tmp_path / "j", 1).add({"what": "kill"})
    assert len((tmp_path / "j").read_text().splitlines()) == 4
    with pytest.raises(SystemExit, match="another seed"):
        Journal(tmp_path / "j", 2)
