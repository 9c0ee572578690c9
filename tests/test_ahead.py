"""The loop for integers compiled beside: begun only where numba holds none, and taken from its cache afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.caching import NullCache

from hw_sim.run import ahead


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(ahead.os, "sched_getaffinity", lambda process: {0, 1})


@pytest.mark.slow
def test_what_was_compiled_beside_is_not_compiled_again(tmp_path):
    code = (
        "from hw_sim.run import ahead, loop_int8\n"
        "ahead.os.sched_getaffinity = lambda process: {0, 1}\n"
        "assert not ahead.held()\n"
        "with ahead.integers_compiled(): pass\n"
        "assert ahead.held()\n"
        "ahead.make()\n"
        "stats = loop_int8.run_integer.stats\n"
        "assert (sum(stats.cache_hits.values()), sum(stats.cache_misses.values())) == (1, 0)"
    )
    strange = tmp_path / "strange"  # a folder of the user's own with a name of ours
    (strange / "hw_sim").mkdir(parents=True)
    (strange / "hw_sim" / "__init__.py").write_text("raise SystemExit(9)")
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "HERE": str(Path(__file__).parents[1])}
    begin = "import os, sys; sys.path.insert(0, os.environ['HERE']); sys.path.remove('')\n"
    subprocess.run([sys.executable, "-c", begin + code], check=True, env=env, cwd=strange)


def test_nothing_is_begun_where_the_loop_is_held_or_there_is_one_core(monkeypatch):
    monkeypatch.setattr(ahead.subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    monkeypatch.setattr(ahead, "held", lambda: True)
    with ahead.integers_compiled():
        pass
    monkeypatch.setattr(ahead, "held", lambda: False)
    monkeypatch.setattr(ahead.os, "sched_getaffinity", lambda process: {0})
    with ahead.integers_compiled():
        pass


def test_nothing_is_begun_where_numba_keeps_nothing(monkeypatch):
    monkeypatch.setattr(ahead.loop_int8.run_integer, "_cache", NullCache())
    assert ahead.held()


def test_an_error_inside_ends_what_was_begun(monkeypatch):
    begun = []
    start = subprocess.Popen
    monkeypatch.setattr(ahead, "held", lambda: False)
    monkeypatch.setattr(
        ahead.subprocess, "Popen", lambda *_, **__: begun.append(start(["sleep", "60"])) or begun[-1]
    )  # fmt: skip
    with pytest.raises(KeyError), ahead.integers_compiled():
        raise KeyError
    assert begun[0].poll() is not None
