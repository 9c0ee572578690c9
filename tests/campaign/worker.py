"""Children that run mutants one after another, which saves a fork for each, and a watch that ends those that go wrong.

A mutant that looks bad, or whose child died, is run again in a child of its own: that verdict counts.
"""

import os
import pickle
import select
import signal
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from exporters.loihi.lava.supervisor import patience
from tests.campaign.judge import BAD, Verdict, judge
from tests.campaign.kinds import Kind
from tests.campaign.trial import CPU_S, LOOK_S, MEMORY, WALL_S, attempt_here, resident

CHUNK = 200  # mutants of one child
HEAD = struct.Struct("<I")
TICKS = os.sysconf("SC_CLK_TCK")


def verdicts(
    wanted: Sequence[tuple[Kind, int]], seed: int, expected: dict[str, str], folder: Path
) -> Iterator[tuple[Verdict, float]]:
    """The verdict of every mutant in order, and the seconds that it took."""
    stock, work = folder / "stock", folder / "work"
    at, started = 0, time.monotonic()
    while at < len(wanted):
        part = wanted[at : at + CHUNK]
        for verdict in watched(part, seed, expected, folder):
            kind, number = wanted[at]
            if verdict is None or verdict.outcome in BAD:
                verdict = judge(kind, number, seed, expected[kind.name], stock, work)
            at += 1
            yield verdict, time.monotonic() - started
            started = time.monotonic()


def watched(
    part: Sequence[tuple[Kind, int]], seed: int, expected: dict[str, str], folder: Path
) -> Iterator[Verdict | None]:
    """Verdicts from one child, until it is done, dies or has to be stopped: then None for the mutant at fault."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            os.setpgid(0, 0)
            for kind, number in part:
                verdict = judge(
                    kind, number, seed, expected[kind.name], folder / "stock", folder / "worker", attempt_here
                )
                data = pickle.dumps(verdict)
                os.write(write, HEAD.pack(len(data)) + data)
        finally:
            os._exit(0)
    os.close(write)
    before = resident(os.getpid())
    try:
        with os.fdopen(read, "rb", buffering=0) as pipe:
            for _ in part:
                if not answers(pipe.fileno(), child, before) or len(head := pipe.read(HEAD.size)) < HEAD.size:
                    yield None
                    return
                yield pickle.loads(pipe.read(*HEAD.unpack(head)))
    finally:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)


def answers(pipe: int, child: int, before: int) -> bool:
    """Wait for the child to say something; False where it uses more memory or time than a reader may."""
    started, used = time.monotonic(), cpu_of(child)
    while not select.select([pipe], [], [], LOOK_S)[0]:
        waited = time.monotonic() - started > WALL_S * patience()
        if waited or cpu_of(child) - used > CPU_S or resident(child) > before + MEMORY:
            return False
    return True


def cpu_of(pid: int) -> float:
    """Seconds of processor time of a process and the children that it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS
