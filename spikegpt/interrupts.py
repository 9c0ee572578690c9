"""Signals that wait for a good moment: Ctrl-C and SIGTERM end a training step, and a checkpoint is kept first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Deferred:
    """The signal that came, if one did."""

    number: int | None = None


@contextmanager
def deferred() -> Iterator[Deferred]:
    """Hold the first SIGINT or SIGTERM back until the block ends; a second one acts at once."""
    waiting = Deferred()
    if threading.current_thread() is not threading.main_thread():
        yield waiting
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hold(number: int, frame: FrameType | None) -> None:
        waiting.number = number
        restore()

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, hold)
    try:
        yield waiting
    finally:
        restore()
    if waiting.number is not None:
        signal.raise_signal(waiting.number)
