"""Text that fits where it is shown: tables as wide as their words, sentences folded between words.

On a terminal no line is longer than it is wide, where that can be; piped, a row and a sentence is one line each, which
is what grep, a CI's log and other programs want. COLUMNS says otherwise, for both.
"""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

GAP = 2  # between columns
LEAST = 16  # letters of a folded column
STEP = 2  # what a folded line is indented by
COMMAND = re.compile(r"(?<=: )spikegpt [a-z-]+ -.*$")  # at the end of a sentence, to be copied: the terminal breaks it


def width_of(stream: TextIO) -> int | None:
    """Columns that a line may have; None: any number."""
    if stream.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return None


def folded(text: str, stream: TextIO | None = None) -> str:
    """Every line of a text folded between words where it is too long for a stream (default: standard output).

    What follows the first line stands to the right of it.
    """
    width = width_of(stream or sys.stdout)
    if width is None:
        return text
    return "\n".join(_fold(line, width) for line in text.split("\n"))


def _fold(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    if found := COMMAND.search(line):
        return "\n".join((_fold(line[: found.start()].rstrip(), width), found[0]))
    indent = " " * (len(line) - len(line.lstrip()) + STEP)
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = (), idle: Sequence[str] = ()
) -> str:
    """Lines of columns as wide as their longest cell: figures stand right, the first column and those named by their
    head in `left` stand left. A head of two lines has a line end in it.

    Where a row is too long, a last column that stands left is folded; in other tables columns move together, and those
    of `idle` where nothing but 0 and - stands are left out. A first cell without room stands on a line of its own.
    """
    limit, prose = width_of(sys.stdout), head[-1] in left
    found = _Columns.under(head, rows, left, GAP)
    if limit is not None and not prose and found.width > limit:
        used = [i for i, name in enumerate(head) if name not in idle or any(row[i] not in ("0", "-") for row in rows)]
        found = _Columns.under([head[i] for i in used], [[row[i] for i in used] for row in rows], left, 1)
    return "\n".join(found.lines(limit, prose))


@dataclass(frozen=True)
class _Columns:
    """Rows of cells, which columns stand right, and what is between two of them."""

    rows: Sequence[Sequence[str]]
    right: Sequence[bool]
    gap: int

    @classmethod
    def under(cls, head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str], gap: int) -> "_Columns":
        heads = zip(*((["", *cell.split("\n")])[-2:] for cell in head), strict=True)
        right = [i > 0 and name not in left for i, name in enumerate(head)]
        return cls([*(line for line in heads if any(line)), *rows], right, gap)

    @property
    def widths(self) -> list[int]:
        return [max(map(len, cells)) for cells in zip(*self.rows, strict=True)]

    @property
    def width(self) -> int:
        return sum(self.widths) + self.gap * (len(self.widths) - 1)

    def lines(self, limit: int | None, prose: bool) -> list[str]:
        widths, over = self.widths, 0 if limit is None else max(0, self.width - limit)
        if prose:
            given = min(over, max(0, widths[-1] - LEAST))
            widths[-1], over = widths[-1] - given, over - given
        widths[0] = max(0, widths[0] - over)
        return [line for row in self.rows for line in self._row(row, widths, prose)]

    def _row(self, cells: Sequence[str], widths: Sequence[int], prose: bool) -> list[str]:
        first, *rest = cells
        above, more = ([first] if len(first) > widths[0] else []), []
        if prose:
            rest[-1], *more = textwrap.wrap(rest[-1], widths[-1], break_long_words=False) or [""]
        shown = zip(("" if above else first, *rest), widths, self.right, strict=True)
        row = (" " * self.gap).join(f"{cell:>{w}}" if right else f"{cell:<{w}}" for cell, w, right in shown)
        indent = " " * (sum(widths[:-1]) + self.gap * (len(widths) - 1))
        return [*above, row.rstrip(), *(indent + line for line in more)]
