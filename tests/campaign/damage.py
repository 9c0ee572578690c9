"""Damage as disks, cables and editors do it: the bytes of a file changed without regard for what they mean."""

from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
EDGE = 512  # bytes of a file's beginning and end, where formats keep what they say of themselves
WORDS = (0, 1, -1, 255, 1 << 15, 1 << 31, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, -(1 << 63), 1 << 60)
UNTEXT = (
    b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x00", b"\x1b]0;title\x07", b"\x1b[2J",
    b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\r", b"\x85", b"\xcc\x81" * 400,
)  # fmt: skip


def place(data: bytes, rng: Rng) -> int:
    """Somewhere in the data, half of the time near an end of it."""
    if rng.integers(2) and len(data) > 2 * EDGE:
        return int(rng.choice([rng.integers(EDGE), len(data) - 1 - rng.integers(EDGE)]))
    return int(rng.integers(max(1, len(data))))


def block(data: bytes, rng: Rng) -> slice:
    """A stretch of the data of any order of magnitude."""
    at = place(data, rng)
    return slice(at, at + int(2 ** rng.uniform(0, np.log2(max(2, len(data))))))


def bits(data: bytes, rng: Rng) -> bytes:
    found = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        found[place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(found)


def one_bit(data: bytes, rng: Rng) -> bytes:
    found = bytearray(data)
    found[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(found)


def overwrite(data: bytes, rng: Rng) -> bytes:
    found = bytearray(data)
    for _ in range(rng.integers(1, 33)):
        found[place(data, rng)] = int(rng.choice([0, 255, rng.integers(256)]))
    return bytes(found)


def word(data: bytes, rng: Rng) -> bytes:
    """An aligned number replaced by one at the edge of its type."""
    size = int(rng.choice([4, 8]))
    at = place(data, rng) // size * size
    value = (WORDS[rng.integers(len(WORDS))] & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return data[:at] + value + data[at + size :]


def blank(data: bytes, rng: Rng) -> bytes:
    where = block(data, rng)
    return data[: where.start] + bytes(len(data[where])) + data[where.stop :]


def noise(data: bytes, rng: Rng) -> bytes:
    where = block(data, rng)
    return data[: where.start] + rng.bytes(len(data[where])) + data[where.stop :]


def remove(data: bytes, rng: Rng) -> bytes:
    where = block(data, rng)
    return data[: where.start] + data[where.stop :]


def repeat(data: bytes, rng: Rng) -> bytes:
    where = block(data, rng)
    return data[: where.stop] + data[where] * int(rng.integers(1, 5)) + data[where.stop :]


def move(data: bytes, rng: Rng) -> bytes:
    where = block(data, rng)
    rest = data[: where.start] + data[where.stop :]
    at = place(rest, rng)
    return rest[:at] + data[where] + rest[at:]


def truncate(data: bytes, rng: Rng) -> bytes:
    return data[: place(data, rng)]


def extend(data: bytes, rng: Rng) -> bytes:
    more = int(2 ** rng.uniform(0, 16))
    return data + (bytes(more) if rng.integers(2) else rng.bytes(more))


def prepend(data: bytes, rng: Rng) -> bytes:
    return rng.bytes(int(2 ** rng.uniform(0, 10))) + data


def untext(data: bytes, rng: Rng) -> bytes:
    """Bytes that are no UTF-8, or characters that no terminal should see."""
    for _ in range(rng.integers(1, 4)):
        at = place(data, rng)
        data = data[:at] + UNTEXT[rng.integers(len(UNTEXT))] + data[at:]
    return data


DAMAGE: tuple[Callable[[bytes, Rng], bytes], ...] = (
    bits, one_bit, overwrite, word, blank, noise, remove, repeat, move, truncate, extend, prepend, untext,
)  # fmt: skip
