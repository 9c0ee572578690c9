"""Quality of a model on a part of a text: bits per byte, how sure they are, and exactly which bytes were read."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from spikegpt.tokenizer import Tokenizer

BLOCK = 256  # tokens drawn together: what stands close together is alike (a page of names, a chapter of verse)
DRAWS, SEED, LEVEL = 2000, 0, 0.95


class TextRead(Struct, frozen=True, kw_only=True):
    """The part of a text that was read: `offset` and `tokens` count tokens from the start of the text, `sha256` is of
    the `bytes` that the tokens stand for, `text_sha256` of the whole text."""

    name: str
    text_sha256: str
    offset: int
    tokens: int
    bytes: int
    sha256: str


class Quality(Struct, frozen=True, kw_only=True):
    """Bits per byte with the interval of `level` that a block bootstrap gives: `draws` times, blocks of `block` tokens
    are drawn with replacement, as many as the text has. It says how far another text of this kind may be off, not how
    far another model; models are compared on the same bytes. None where the text has fewer than two blocks."""

    bits_per_byte: float
    low: float | None
    high: float | None
    predicted: int  # tokens scored: all after the first
    block: int = BLOCK
    draws: int = DRAWS
    seed: int = SEED
    level: float = LEVEL

    @property
    def half_width(self) -> float | None:
        """Half the interval, as a share of the bits per byte."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / self.bits_per_byte


def text_read(name: str, text_sha256: str, offset: int, tokens: np.ndarray, tokenizer: Tokenizer) -> TextRead:
    """What identifies `tokens` (N,), which begin at token `offset` of a text."""
    raw = tokenizer.decode(tokens)
    return TextRead(
        name=name,
        text_sha256=text_sha256,
        offset=offset,
        tokens=len(tokens),
        bytes=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def quality_of(nats: np.ndarray, tokens: np.ndarray, tokenizer: Tokenizer, block: int = BLOCK) -> Quality:
    """The quality of a model that gave tokens[1:] of `tokens` (N,) -ln p of `nats` (N - 1,)."""
    scored = tokens[1:]
    total = math.fsum(nats) / math.log(2) / len(tokenizer.decode(scored))
    low, high = interval(
        [math.fsum(nats[i : i + block]) / math.log(2) for i in range(0, len(nats), block)],
        [len(tokenizer.decode(scored[i : i + block])) for i in range(0, len(nats), block)],
        full=len(nats) // block,
    )
    return Quality(bits_per_byte=total, low=low, high=high, predicted=len(nats), block=block)


def interval(
    bits: Sequence[float], sizes: Sequence[int], full: int, draws: int = DRAWS, level: float = LEVEL
) -> tuple[float | None, float | None]:
    """The bootstrap's percentile interval of sum(bits) / sum(sizes) over the first `full` blocks, the whole ones.

    Non-overlapping blocks (Carlstein 1986; Efron and Tibshirani 1993, chapter 8), numpy's PCG64 with SEED.
    """
    if full < 2:
        return None, None
    drawn = np.random.default_rng(SEED).integers(0, full, (draws, full))
    ratios = np.asarray(bits[:full])[drawn].sum(axis=1) / np.asarray(sizes[:full])[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
