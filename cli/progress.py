"""How far a command is, on standard error: a bar on a terminal, and of a training run plain lines anywhere else."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

LINE_EVERY_S = 5.0  # between plain lines; nothing is said before so long, hence not of a command that fails at once


@contextmanager
def progress_bar(label: str, total: int | None, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal that vanishes when done; gives the function that advances it."""
    with Progress(console=Console(stderr=True), transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


class _TwoLines(Progress):
    """What a bar stands for on a line of its own below it, so that 80 columns hold bar, step and time left."""

    def get_renderables(self) -> "Iterator[RenderableType]":
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if task.fields.get("note") and not task.finished:
                yield Text(task.fields["note"], no_wrap=True, overflow="ellipsis")


class TrainingProgress:
    """What a run is (`what`), its step, time left and last row; then how far its score is. `quiet`: nothing at all."""

    def __init__(self, steps: int, what: str, quiet: bool) -> None:
        self.steps, self.what, self.note, self.more = steps, what, "", ""
        self.begun = self.said = time.monotonic()
        self.first: int | None = None  # step that this process began behind
        self.plain = not quiet and not sys.stderr.isatty()
        columns = (
            *Progress.get_default_columns()[:2],
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self.bar = _TwoLines(*columns, console=Console(stderr=True), disable=quiet or self.plain)
        self.task = self.bar.add_task("training", total=steps, note="")

    def __enter__(self) -> "TrainingProgress":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def step(self, step: int) -> None:
        """So many steps are done."""
        if self.first is None:
            self.first = step - 1
            if self.bar.live.is_started:
                self.bar.console.print(self.what, markup=False, highlight=False)
        self.bar.update(self.task, completed=step, note=self.note + self.more)
        now = time.monotonic()
        if self.plain and now - self.said >= LINE_EVERY_S:
            left = (now - self.begun) / (step - self.first) * (self.steps - step)
            self._say(f"step {step:,} of {self.steps:,}, {_clock(left)} left" + (f"; {self.note}" if self.note else ""))

    def row(self, note: str, more: str) -> None:
        """A row of the log, in words; `more` is for a terminal alone."""
        self.note, self.more = note, more

    def scoring(self, tokens: int) -> Callable[[int], None]:
        """The run is over and its score begins, over so many tokens; gives what is told of those done."""
        task, done = self.bar.add_task("scoring", total=tokens), 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            self.bar.advance(task, more)
            if self.plain and time.monotonic() - self.said >= LINE_EVERY_S:
                self._say(f"scoring {done:,} of {tokens:,} tokens of validation text")

        return advance

    def _say(self, line: str) -> None:
        if self.what and self.plain:
            click.echo(self.what, err=True)
            self.what = ""
        self.said = time.monotonic()
        click.echo(line, err=True)


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
