"""One command line in a forked child: with limits on memory and time, and everything that it said."""

import atexit
import contextlib
import os
import re
import resource
import runpy
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exporters.loihi.lava.supervisor import patience

MEMORY = 1 << 30  # bytes beyond what this process, with all its libraries, holds
ADDRESSES = 8 << 30  # bytes; the watch below stops a child long before, this only protects the machine
CPU_S = 10  # before the work begins; the honest work takes a fraction of a second
WALL_S = 60  # on an idle machine, for what waits without computing
LOOK_S = 0.2
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Said:
    """What a child did: exit code (negative: the signal), what it printed, its error's place, memory and time."""

    code: int
    out: str
    err: str
    where: str
    memory: int
    cpu_s: float
    stopped: str = ""  # "hang" or "memory", if the watch ended it


def limit() -> None:
    """Let this process use only so much memory, processor time and disk."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (pages + ADDRESSES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (2 * CPU_S, 2 * CPU_S + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MEMORY,) * 2)


def fork(command: Sequence[str], folder: Path, out: int, err: int, why: int, temporary: Path | None = None) -> int:
    """Start a command in a limited child with a group of its own and no input; returns its process id.

    `temporary` is its folder for temporary files.
    """
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setpgid(0, 0)
        limit()
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, out), (2, err)):
            os.dup2(source, target)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        if temporary is not None:
            os.environ["TMPDIR"], tempfile.tempdir = str(temporary), None
        os.chdir(folder)
        code = run(command, why)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is done; what follows is not the command's
        atexit._run_exitfuncs()  # temporary folders vanish
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
    raise AssertionError


def run(command: Sequence[str], why: int) -> int:
    """Call the command line as the shell does; writes where an error came from to `why`. Returns the exit code."""
    sys.argv = ["spikegpt", *command]
    call: Callable[[], object]
    if command[0].endswith(".py"):
        sys.argv = list(command)
        call = partial(runpy.run_path, command[0], run_name="__main__")
    else:
        from cli.main import main as call
    code = 0
    try:
        without_lava()
        call()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt as error:  # so does Python end
        code = 130
        os.write(why, place_of(error).encode())
    except BaseException as error:
        code = 1
        os.write(why, place_of(error).encode())
    return code


def without_lava() -> None:
    """Put the plan's interpreter where Lava would run the same plan for seconds: what is read and checked stays."""
    from exporters.loihi import agreement
    from exporters.loihi.lava import supervisor

    def interpret(plan, tokens, *_, **__):
        logits, spikes = agreement.interpret(plan, tokens, None, lambda done: None)
        return supervisor.LavaRun(logits, spikes, 0.0)

    supervisor.run = interpret
    agreement.EXECUTIONS = tuple(e for e in agreement.EXECUTIONS if e.run is agreement.interpret)


def printed_place(err: str) -> str:
    """As `place_of`, from a traceback that the command line printed; "" without one."""
    if "Traceback (most recent call last)" not in err:
        return ""
    frames = [f for f in re.findall(r'File "([^"]+)", line (\d+)', err) if f[0].startswith(str(ROOT))]
    file, line = frames[-1] if frames else ("?", "")
    raised = [text for text in err.splitlines() if re.match(r"[\w.]*(Error|Exception|Interrupt|Exit|Warning)\b", text)]
    last = raised[-1] if raised else "error"
    return f"{last.partition(':')[0]} @ {file.removeprefix(str(ROOT) + '/')}:{line}: {last[:200]}"


def place_of(error: BaseException) -> str:
    """The error's name and the deepest line of this project that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        f
        for f in frames
        if f.filename.startswith(str(ROOT)) and "/tests/" not in f.filename and ".venv" not in f.filename
    ]
    last = (ours or frames or [None])[-1]
    place = "?" if last is None else f"{last.filename.removeprefix(str(ROOT) + '/')}:{last.lineno}"
    return f"{type(error).__name__} @ {place}: {' '.join(str(error).split())[:200]}"


def resident(pid: int) -> int:
    """Bytes of memory of a process, 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def attempt(command: Sequence[str], folder: Path) -> Said:
    """Run a command to its end or to a limit."""
    out, err, why = (os.memfd_create(name) for name in ("out", "err", "why"))
    before = resident(os.getpid())
    started = time.monotonic()
    child = fork(command, folder, out, err, why)
    watch, stopped = os.pidfd_open(child), ""
    while not select.select([watch], [], [], LOOK_S)[0]:
        if resident(child) > before + MEMORY:
            stopped = "memory"
        elif time.monotonic() - started > WALL_S * patience():
            stopped = "hang"
        if stopped:
            break
    if stopped:
        os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    os.close(watch)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # whatever it left in its group
    code = os.waitstatus_to_exitcode(status)
    cpu_s, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 - before
    if not stopped and (code == -signal.SIGXCPU or cpu_s > CPU_S):
        stopped = "hang"
    if not stopped and memory > MEMORY:
        stopped = "memory"
    return Said(code, *texts_of((out, err, why)), memory=max(0, memory), cpu_s=cpu_s, stopped=stopped)


def attempt_here(command: Sequence[str], folder: Path) -> Said:
    """Run a command in this process, a child made for it and others; its limits are watched from outside."""
    files = [os.memfd_create(name) for name in ("out", "err", "why")]
    own = [os.dup(1), os.dup(2)]
    used, before = cpu_used(), resident(os.getpid())
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
    os.dup2(files[0], 1)
    os.dup2(files[1], 2)
    try:
        with contextlib.chdir(folder):
            code = run(command, files[2])
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for target, kept in enumerate(own, 1):
            os.dup2(kept, target)
            os.close(kept)
    if code in (130, 143):  # the command took for its own what was meant for the campaign
        raise KeyboardInterrupt
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    memory = int(found[1]) * 1024 - before if found else 0
    cpu_s = cpu_used() - used
    stopped = "hang" if cpu_s > CPU_S else "memory" if memory > MEMORY else ""
    return Said(code, *texts_of(files), memory=max(0, memory), cpu_s=cpu_s, stopped=stopped)


def cpu_used() -> float:
    """Seconds of processor time of this process and the children that it waited for."""
    return sum(os.times()[:4])


def texts_of(files: Sequence[int]) -> list[str]:
    """What was written to memory files, which are closed."""
    texts = []
    for file in files:
        size = os.lseek(file, 0, os.SEEK_END)
        texts.append(os.pread(file, min(size, 1 << 20), 0).decode(errors="surrogateescape"))
        os.close(file)
    return texts


NOISE = re.compile(r'"(time_s|tokens_per_s|elapsed_s)": [^,}]+|[\d,.]+ tokens/s|"provenance": \{[^}]*\}')


def value_of(said: Said) -> str:
    """What a command answered, without what no two runs share."""
    return NOISE.sub("", said.out)
