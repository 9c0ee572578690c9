"""Kinds of option values: each is wrong in one line, with exit code 2, before a command begins."""

import difflib
import math
import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from spikegpt.errors import UserError
from spikegpt.shipped import PREFIX, resolved, shipped

DEVICES = ("auto", "cpu", "cuda")


class Real(click.FloatRange):
    """A number in a range; neither NaN, which lies in every range, nor infinite."""

    name = "number"

    def _describe_range(self) -> str:
        return "" if self.min is None and self.max is None else super()._describe_range()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Text(click.ParamType):
    """A text in UTF-8: bytes of the command line that are none cannot become tokens."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail(f"{value!a} is not UTF-8.", param, ctx)
        return value


class Device(click.ParamType):
    """Where torch computes: a kind, and for several of it a number, as in cuda:1."""

    name = "device"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, colon, number = value.partition(":")
        if kind not in DEVICES or (colon and (kind != "cuda" or not number.isdecimal())):
            self.fail(f"{value!a} is not one of {', '.join(DEVICES)}, cuda:N.", param, ctx)
        return value


class Model(click.ParamType):
    """What holds a model: a file, the folder of a run or an export, or `shipped:NAME`; becomes the path of it.

    Of a folder that holds a file called `rather`, that file.
    """

    name = "model"

    def __init__(self, path_type: type[str] | type[Path] = str, rather: str | None = None) -> None:
        self.path_type, self.rather = path_type, rather

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        place = resolved(value)
        if not os.path.lexists(place):
            raise UserError(f"{value}: no such file{hint(str(value))}")
        if self.rather is not None and (place / self.rather).is_file():
            return self.path_type(place / self.rather)
        return self.path_type(place if str(value).startswith(PREFIX) else value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = [PREFIX + (model.short or model.name) for model in shipped()]
        fitting = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return fitting if incomplete.startswith(PREFIX) else [*fitting, CompletionItem(incomplete, type="file")]


class In(click.ParamType):
    """A file, or the folder that holds one of this name."""

    name = "file"

    def __init__(self, file: str) -> None:
        self.file = file

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        inside = Path(value) / self.file
        return inside if inside.is_file() else Path(value)


def hint(missing: str) -> str:
    """What the user may have meant by a path that leads nowhere: a neighbour's name, or a model that ships."""
    folder = Path(missing).parent
    try:
        beside = [str(path) for path in folder.iterdir() if path.suffix == Path(missing).suffix]
    except OSError:
        beside = []
    known = {PREFIX + name: name for model in shipped() for name in (model.name, model.short) if name}
    near = difflib.get_close_matches(missing, [*beside, *known, *known.values()], 1)
    names = {name: full for full, name in known.items()}
    return f"; did you mean {names.get(near[0], near[0])}?" if near else ""


class _Place(click.Path):
    """A path to write; what is there already is looked at by the command, which knows what it may replace."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:  # pathlib would take it for the working directory
            self.fail("an empty name; '.' is the working directory.", param, ctx)
        return super().convert(value, param, ctx)


class NewFile(_Place):
    """A file to write (`spikegpt.files.check`), of a kind that its name says."""

    name = "file"

    def __init__(self, *kinds: str) -> None:
        super().__init__()
        self.kinds = kinds

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        place = super().convert(value, param, ctx)
        if place.suffix not in self.kinds:
            self.fail(f"{str(place)!a} does not end with {' or '.join(self.kinds)}.", param, ctx)
        return place


class NewFolder(_Place):
    """A folder to write (`spikegpt.folders.check`)."""

    name = "directory"


SEED = click.IntRange(0, 2**63 - 1)  # what torch and numpy both take
