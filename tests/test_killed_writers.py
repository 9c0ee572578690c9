"""What is at a place while its writer is killed, and after: all of the old, or all of the new."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikegpt import UserError, files, folders, temporaries
from tests.trees import leftovers, tree


def version(n: int) -> dict[str, bytes]:
    return {"a": b"a%d" % n * 50, "sub/b": b"b%d" % n * 50, f"only{n}": b"x"}


def put(out: Path, n: int, **options) -> None:
    with folders.new_folder(out, "test", **options) as made:
        for name, data in version(n).items():
            (made.path / name).parent.mkdir(exist_ok=True)
            (made.path / name).write_bytes(data)


@pytest.fixture
def no_flush(monkeypatch) -> None:
    """A killed process loses nothing that it wrote; the flush is for power cuts, and takes time."""
    monkeypatch.setattr(files, "flush", lambda path: None)


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Whether a forked copy of this process that is killed at its `step`th operation on files was still at work."""
    child = os.fork()
    if child == 0:
        seen = 0

        def kill(event: str, arguments: tuple) -> None:
            nonlocal seen
            if event.split(".")[0] in ("os", "shutil", "ctypes", "fcntl") or event == "open":
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("place", ["swapped", "in place", "among others"])
def test_a_folder_is_old_or_new_whenever_its_writer_is_killed(place, tmp_path, monkeypatch, no_flush):
    out = tmp_path / "out"
    options = {"shared": ("a", "sub/b", "only1", "only2")} if place == "among others" else {}
    if place == "in place":
        monkeypatch.setattr(folders, "_movable", lambda target: False)
    step, alive = 0, True
    while alive:
        step += 1
        shutil.rmtree(out, ignore_errors=True)
        put(out, 1, **options)
        alive = killed_at(step, lambda: put(out, 2, **options))
        if place == "swapped":
            assert {str(f.relative_to(out)) for f in out.rglob("*")} in (names(1), names(2))
        folders.verified(out, "test")  # a reader finishes what was begun
        found = {k: v for k, v in tree(out).items() if v is not None and k != folders.MANIFEST}
        assert found in (version(1), version(2))
        put(out, 3)
        assert leftovers(tmp_path) == []
        shutil.rmtree(out)
    assert step > 20
    assert found == version(2)


def names(n: int) -> set[str]:
    return {*version(n), "sub", folders.MANIFEST}


def test_a_file_is_old_or_new_whenever_its_writer_is_killed(tmp_path, no_flush):
    path, step, alive = tmp_path / "state.npz", 0, True
    arrays = [np.full(100, n) for n in range(3)]

    def put_file(n: int) -> None:
        files.write(path, lambda file: np.savez(file, x=arrays[n]), signed=True)

    while alive:
        step += 1
        put_file(1)
        alive = killed_at(step, lambda: put_file(2))
        assert files.signature(path)
        assert np.load(path)["x"][0] in (1, 2)
    put_file(0)
    assert leftovers(tmp_path) == []
    assert step > 8


def test_a_file_system_without_a_swap_takes_a_folder_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_exchange", lambda one, other: False)  # as at a mount point
    put(tmp_path / "out", 1)
    inode = (tmp_path / "out").stat().st_ino
    put(tmp_path / "out", 2)
    assert tree(tmp_path / "out").keys() == names(2)
    assert (tmp_path / "out").stat().st_ino == inode
    assert leftovers(tmp_path) == []


def test_a_file_that_comes_while_a_folder_is_written_is_kept(tmp_path):
    put(tmp_path / "out", 1)
    with pytest.raises(UserError, match="notes"), folders.new_folder(tmp_path / "out", "test") as made:
        (made.path / "a").write_bytes(b"new")
        (tmp_path / "out" / "notes").write_text("mine")
    assert (tmp_path / "out" / "notes").read_text() == "mine"
    assert (tmp_path / "out" / "a").read_bytes() == version(1)["a"]


def test_a_writer_at_work_keeps_its_temporaries_and_a_dead_one_does_not(tmp_path):
    with temporaries.temporary(tmp_path, "out", directory=True) as mine:
        with temporaries.temporary(tmp_path, "out") as other:  # as another container: nothing tells it by its id
            assert mine.exists()
            assert other.exists()
        dead = tmp_path / ".out.0123abcd.part"
        dead.mkdir()
        (dead / "half").write_text("half")
        (tmp_path / ".out.mine.part").write_text("not one of ours")
        temporaries.sweep(tmp_path, "out")
        assert mine.exists()
        assert not dead.exists()
        assert (tmp_path / ".out.mine.part").exists()
    assert leftovers(tmp_path) == [tmp_path / ".out.mine.part"]
