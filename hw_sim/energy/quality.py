"""How sure the bits per byte of a model on a part of a text are, and exactly which bytes were read."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from spikegpt.tokenizer import Tokenizer

TOKENS = 32_768  # read where nobody says how many: a few seconds; the interval is about +-2 % on the embedded text
BLOCK = 256  # tokens drawn together: what stands close together is alike (a page of names, a chapter of verse)
DRAWS, SEED, LEVEL = 2000, 0, 0.95
Interval = tuple[float, float]


class TextRead(Struct, frozen=True, kw_only=True):
    """The part of a text that was read: `offset` and `tokens` count tokens from the start of the text, `sha256` is of
    the `bytes` that the tokens stand for, `text_sha256` of the whole text."""

    name: str
    text_sha256: str
    offset: int
    tokens: int
    bytes: int
    sha256: str


def text_read(name: str, text_sha256: str, text: np.ndarray, part: np.ndarray, tokenizer: Tokenizer) -> TextRead:
    """What identifies `part` (n,), a view of a text's tokens `text` (N,)."""
    raw = tokenizer.decode(part)
    addresses = [array.__array_interface__["data"][0] for array in (text, part)]
    return TextRead(
        name=name,
        text_sha256=text_sha256,
        offset=(addresses[1] - addresses[0]) // text.itemsize,
        tokens=len(part),
        bytes=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def interval_of(nats: np.ndarray, tokens: np.ndarray, tokenizer: Tokenizer, block: int = BLOCK) -> Interval | None:
    """The interval of the bits per byte of a model that gave tokens[1:] of `tokens` (N,) -ln p of `nats` (N - 1,).

    It says how far another text of this kind may be off, not how far another model: models are compared on the same
    bytes. None where the text has fewer than two blocks.
    """
    starts = range(0, len(nats) // block * block, block)
    return interval(
        [math.fsum(nats[i : i + block]) / math.log(2) for i in starts],
        [len(tokenizer.decode(tokens[i + 1 : i + 1 + block])) for i in starts],
    )


def interval(bits: Sequence[float], sizes: Sequence[int]) -> Interval | None:
    """The bootstrap's percentile interval of sum(bits) / sum(sizes): DRAWS times, as many blocks as there are are drawn
    with replacement.

    Non-overlapping blocks (Carlstein 1986; Efron and Tibshirani 1993, chapter 8), numpy's PCG64 with SEED.
    """
    n = len(bits)
    if n < 2:
        return None
    drawn = np.random.default_rng(SEED).integers(0, n, (DRAWS, n))
    ratios = np.asarray(bits)[drawn].sum(axis=1) / np.asarray(sizes)[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
