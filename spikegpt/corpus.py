"""Text as bytes with a fixed 90 / 5 / 5 split; the King James Bible (public domain) ships with the package."""

import hashlib
import lzma
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from spikegpt.errors import UserError

SPLITS = ("train", "valid", "test")
EMBEDDED = "kjv"


@dataclass(frozen=True)
class Corpus:
    """A named text; `tokens` are its bytes, uint8 (N,)."""

    name: str
    sha256: str
    tokens: np.ndarray

    def split(self, part: str) -> np.ndarray:
        """The first 90 % (train), the next 5 % (valid) or the last 5 % (test), cut at whole bytes."""
        if part not in SPLITS:
            raise UserError(f"split {part!r} is not one of {', '.join(SPLITS)}")
        n = len(self.tokens)
        cuts = [0, n * 90 // 100, n * 95 // 100, n]
        i = SPLITS.index(part)
        return self.tokens[cuts[i] : cuts[i + 1]]


def load_corpus(path: str | None = None) -> Corpus:
    """Read a text or byte file (`.xz` is unpacked), or the embedded text when no path is given.

    Raises UserError when the file cannot be read or is empty.
    """
    if path is None or path == EMBEDDED:
        name = "King James Bible (embedded)"
        raw = lzma.decompress(resources.files("spikegpt").joinpath("text/kjv.txt.xz").read_bytes())
    else:
        name = Path(path).name
        try:
            raw = Path(path).read_bytes()
            raw = lzma.decompress(raw) if path.endswith(".xz") else raw
        except (OSError, lzma.LZMAError) as error:
            raise UserError(f"{path}: cannot be read as text: {error}") from error
    if not raw:
        raise UserError(f"{path}: the text is empty; at least 2 bytes are needed")
    return Corpus(name, hashlib.sha256(raw).hexdigest(), np.frombuffer(raw, np.uint8))
