"""A look at an untrusted file by a child process with little memory and time, before this process opens it.

libhdf5 can crash, hang or ask for gigabytes on a damaged file, and no exception tells of it.
"""

import contextlib
import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

from spikegpt.errors import UserError

CPU_S = 4  # of the child; the largest preset takes 0.1
SPARE = 256 << 20  # bytes of addresses beyond the file's budget
REASON = 2000  # bytes of an error's text that the child may hand back


def screened(look: Callable[[], object], budget: int, seconds: int = 0) -> None:
    """Let a child do `look`; raises UserError with what it raised, or with how it died. Without fork: do nothing.

    `seconds` are CPU time beyond CPU_S, for large files.
    """
    if not hasattr(os, "fork"):
        return
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads: the child takes none of their locks
        child = os.fork()
    if not child:
        _look_and_exit(look, budget, CPU_S + seconds, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        reason = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        raise UserError(f"damaged: reading it ends in {name} or takes more than {CPU_S + seconds} s")
    if os.WEXITSTATUS(status):
        raise UserError(reason or "damaged: reading it needs more memory than it can hold")


def _look_and_exit(look: Callable[[], object], budget: int, seconds: int, pipe: int) -> None:
    status = 1
    try:
        import resource

        pages = Path("/proc/self/statm")
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if pages.exists():  # elsewhere the budget of the reader has to do
            now = int(pages.read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + budget + SPARE,) * 2)
        look()
        status = 0
    except BaseException as error:  # nothing may get past os._exit: this is a copy of the caller
        with contextlib.suppress(BaseException):
            os.write(pipe, (" ".join(str(error).split()) or type(error).__name__).encode()[:REASON])
    finally:
        os._exit(status)
