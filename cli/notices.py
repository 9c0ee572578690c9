"""What was taken for granted, said on standard error: each Notice once, on one line."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from cli.layout import folded
from spikegpt.errors import Notice, shortened
from spikegpt.escape import printable


@contextmanager
def notices() -> Iterator[None]:
    """Print Notices in this block; other warnings go where they went."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, Notice):
                click.echo(folded(f"spikegpt: {shortened(printable(message))}", sys.stderr), err=True)
            else:
                others(message, category, *place, **more)

        warnings.showwarning = show  # type: ignore[assignment]
        warnings.simplefilter("once", Notice)
        yield
