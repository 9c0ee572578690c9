"""What a run of Lava leaves behind: its own processes, known by a mark in their environment, and their shared memory.

The machine is full of other people's; only what carries the mark of a run, or is mapped by such a process, is its own.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

from exporters.loihi.lava.supervisor import patience

MARK = "SPIKEGPT_RUN"  # children inherit it
LOOK_S = 0.02
GONE_S = 10.0  # for the processes of a run that was killed to notice it, on a machine that does nothing else


def family(mark: str) -> list[int]:
    """Processes started with `mark`, a "NAME=value" or the beginning of one, in their environment."""
    sought, found = f"\0{mark}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if sought in b"\0" + (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def shared_memory(pids: list[int]) -> set[Path]:
    """Files of /dev/shm that these processes have mapped."""
    found: set[Path] = set()
    for pid in pids:
        with suppress(OSError):  # it has just ended
            found |= {Path(name) for name in re.findall(r"/dev/shm/psm_\S+", Path(f"/proc/{pid}/maps").read_text())}
    return found


def assert_gone(mark: str, mapped: set[Path]) -> None:
    """No process of the run is left, nor any of the shared memory that its processes were seen with."""
    deadline = time.monotonic() + GONE_S * patience()
    while family(mark) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    assert family(mark) == []
    assert not [name for name in mapped if name.exists()]


@contextmanager
def nothing_left() -> Iterator[None]:
    """Mark what the block starts, watch it, and assert that it used shared memory and that nothing of it is left."""
    value, mapped, ended = uuid4().hex, set[Path](), Event()
    mark = f"{MARK}={value}"

    def watch() -> None:
        while not ended.wait(LOOK_S):
            mapped.update(shared_memory(family(mark)))

    before, watcher = os.environ.get(MARK), Thread(target=watch, daemon=True)
    os.environ[MARK] = value
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        os.environ.pop(MARK)
        if before is not None:
            os.environ[MARK] = before
    assert mapped, "no process of this run was seen with shared memory"
    assert_gone(mark, mapped)
