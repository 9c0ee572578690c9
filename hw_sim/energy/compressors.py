"""Classical compressors on the part of a text that a model was scored on: bits per byte, for scale.

They are no rivals at equal work: a model has read its training text many times, a compressor once or never. Each is
given twice: on the part alone, and after the training part, as what that adds to its length.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable

import zstandard
from msgspec import Struct

LONG = zstandard.ZstdCompressionParameters.from_level(19, window_log=27, enable_ldm=True)
COMPRESSORS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "xz": (lambda raw: lzma.compress(raw, preset=9), "LZMA2, preset 9: a dictionary of 64 MiB"),
    "zstd": (lambda raw: zstandard.ZstdCompressor(compression_params=LONG).compress(raw), "level 19, window 128 MiB"),
    "bzip2": (lambda raw: bz2.compress(raw, 9), "blocks of 900 kB: it looks no further back"),
    "gzip": (lambda raw: zlib.compress(raw, 9), "DEFLATE, level 9: it looks back 32 KiB"),
}


class Compressed(Struct, frozen=True, kw_only=True):
    """`alone` and `after_training` are bits per byte of the part read; the second is C(training + part) - C(training)
    over the part's length, None where there is no training part before it."""

    name: str
    settings: str
    alone: float
    after_training: float | None
    training_bytes: int


def compress(part: bytes, training: bytes | None) -> tuple[Compressed, ...]:
    """All compressors on `part`, and after `training` where it is given; seconds for a few MB."""
    return tuple(
        Compressed(
            name=name,
            settings=settings,
            alone=8 * len(run(part)) / len(part),
            after_training=8 * (len(run(training + part)) - len(run(training))) / len(part) if training else None,
            training_bytes=len(training) if training else 0,
        )
        for name, (run, settings) in COMPRESSORS.items()
    )
