"""What a user is told, in every package: an error of theirs, one line that says where, what, which limit, what to do;
and a notice of what was assumed for them."""

import difflib
from collections.abc import Iterable

LONGEST = 1000  # characters of an error: names from files may be of any length


class UserError(Exception):
    """Bad input from outside; the command line prints its text and exits with code 2."""

    def __init__(self, text: object = ""):
        super().__init__(shortened(str(text)))


def shortened(text: str) -> str:
    """The text, or its beginning and its end where it is longer than LONGEST."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST * 2 // 3]} [..] {text[-(LONGEST // 4) :]}"


def nearest(name: str, known: Iterable[str]) -> str:
    """What an unknown name was meant to be, or all that there are."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}"


class Notice(UserWarning):
    """Something that was taken for granted and may be wrong; the command line prints it on standard error, once."""
