"""Names that strangers chose (files, nodes, provenance, texts), shown for what they are wherever they are printed.

A name may hold what a terminal, rich, matplotlib, a browser or a Markdown reader would obey: each of these functions
takes any value and gives the text that shows there as it was.
"""

import html as _html
import os
import re
from typing import Any

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#&$!])")


def printable(value: object) -> str:
    """Control characters, line ends, bidirectional marks and lone surrogates as escapes (\\x1b, \\u202e): one line.

    For a terminal, a log and an error's text.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(value))


def unicode(name: object) -> str:
    """A path or an argument as the UTF-8 that it most likely is, whatever the locale took it for: to be kept in files.

    Python reads names that the locale cannot hold into lone surrogates, which no UTF-8 file takes.
    """
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")


def legible(value: Any) -> Any:
    """Builtins as JSON has them, every text in them printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {legible(key): legible(item) for key, item in value.items()}
    return [legible(item) for item in value] if isinstance(value, list | tuple) else value


def rich(value: object) -> str:
    """For rich, which takes [words] as markup."""
    from rich.markup import escape

    return escape(printable(value))


def mathtext(value: object) -> str:
    """For matplotlib, which takes what stands between two $ as mathematics."""
    return printable(value).replace("$", r"\$")


def html(value: object) -> str:
    """For HTML: element text, and attributes in quotes."""
    return _html.escape(printable(value))


def markdown(value: object) -> str:
    """For Markdown, inside a line or a cell of a table."""
    return _MARKDOWN.sub(r"\\\1", printable(value))
