"""Entry point of the `spikegpt` command: whatever ends it, one line says so and the exit code is what shells expect.

0: done. 1: what was compared differs, a report regressed, a check refused. 2: bad input, or a place that cannot be read
or written. 70: a defect of ours, with its traceback. 129, 130, 143: ended by SIGHUP, Ctrl-C, SIGTERM. 141: the reader
of our output has gone. docs/outputs.md has the table.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

DONE, BAD_INPUT, CRASHED, INTERRUPTED, UNREAD = 0, 2, 70, 130, 141
AGAIN_S = 0.01  # until a signal that was dropped is sent once more


class Signalled(SystemExit):
    """Ends the process on a signal, through every `finally` on the way."""


def main() -> None:
    """Run the command line and exit."""
    open_streams()
    with signals():
        code = run()
        delivered = deliver()  # whatever the code: the interpreter's own flush would end with 120
        sys.exit(code or delivered)


def run() -> int:
    """Run the command that sys.argv names; returns the exit code."""
    try:
        from click import Abort, ClickException, UsageError
        from click.exceptions import NoArgsIsHelpError

        from cli.commands import Ended, cli
        from cli.notices import notices
        from spikegpt.errors import UserError
    except KeyboardInterrupt:
        return say("interrupted", INTERRUPTED)
    except Signalled as ended:
        return said(ended)
    try:
        with notices():
            code = cli.main(prog_name="spikegpt", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except Signalled as ended:
        return said(ended)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else DONE
    except (KeyboardInterrupt, Abort):
        return say("interrupted", INTERRUPTED)
    except Ended as ended:
        if isinstance(ended.__cause__, BrokenPipeError):
            return deliver() or UNREAD
        return say("interrupted", INTERRUPTED)
    except NoArgsIsHelpError as asked:
        asked.show()
        return BAD_INPUT
    except UsageError as error:
        command = f" ({error.ctx.command_path} --help)" if error.ctx else ""
        return say(error.format_message() + command, BAD_INPUT)
    except ClickException as error:
        return say(error.format_message(), BAD_INPUT)
    except UserError as error:
        return say(str(error), BAD_INPUT)
    except OSError as error:  # standard output, or a path that cannot be read or written
        text = f"{error.filename}: {error.strerror}" if error.filename is not None and error.strerror else str(error)
        return (error.filename is None and deliver()) or say(text, BAD_INPUT)
    except MemoryError as error:
        return say(f"out of memory {error}", BAD_INPUT)
    except Exception:
        import traceback

        traceback.print_exc()
        return say("this is a defect of spikegpt, not of your input: please report the lines above", CRASHED)


def said(ended: Signalled) -> int:
    """Which signal it was; returns the code."""
    code = int(str(ended.code))
    return say(f"ended by {signal.Signals(code - 128).name}", code)


def say(text: str, code: int) -> int:
    """One line on standard error, whatever the text holds; returns the code."""
    from cli.layout import folded
    from spikegpt.errors import shortened
    from spikegpt.escape import printable

    with suppress(OSError):  # nobody listens any more
        print(folded(f"spikegpt: {shortened(printable(text))}", sys.stderr), file=sys.stderr, flush=True)
    return code


def deliver() -> int:
    """Flush standard output; returns 0, or how the command ends where nobody took what it said."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        forget_output()
        return UNREAD
    except OSError as error:
        forget_output()
        return say(f"standard output: {error.strerror}", BAD_INPUT)
    return DONE


def forget_output() -> None:
    """Lead what is still buffered nowhere, so that the interpreter's own flush at the end does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def open_streams() -> None:
    """Give closed standard streams a place, else the next file opened would take their number; write any character."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the command through its `finally` blocks, once; where they are ignored they stay so.

    Python drops what a signal raises inside a destructor or a callback of a weak reference: then it is sent once more.
    """

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Signalled(128 + number)

    def dropped(unraisable: Any) -> None:
        error = unraisable.exc_value
        if isinstance(error, Signalled):
            number = int(str(error.code)) - 128
            signal.signal(number, end)
        elif isinstance(error, KeyboardInterrupt):
            number = signal.SIGINT
        else:
            others(unraisable)
            return
        threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)).start()

    ours = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, end)
    others, sys.unraisablehook = sys.unraisablehook, dropped
    try:
        yield
    finally:
        sys.unraisablehook = others
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
