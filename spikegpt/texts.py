"""Texts as they are distributed, read in pieces: plain, packed (gzip, bzip2, xz, Zstandard, zip), JSON lines.

What a file is, its first bytes tell, packed and unpacked; whatever is no text is refused. Memory is bounded: a packed
text may not unpack to much more than texts do.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from spikegpt.errors import UserError
from spikegpt.kinds import BZIP2, GZIP, NPY, XZ, ZIP, ZSTD, first_bytes, kind_of

PIECE = 1 << 20  # bytes
LOOKED_AT = 1 << 16  # bytes of the text itself, for whether it is one
NULS = 1000  # a text holds fewer than one NUL among so many bytes; random bytes hold four
UNPACKED, UNPACKED_PER_BYTE = 64 << 20, 30  # that a file may unpack to; texts shrink to a 10th
ZSTD_INPUT = 1 << 10  # bytes unpacked at a time: each may become 32 KiB
SUFFIXES = {".gz": GZIP, ".bz2": BZIP2, ".xz": XZ, ".zst": ZSTD, ".zip": ZIP}
# Texts that must be what their name says: name -> (bytes, sha256). http://mattmahoney.net/dc/textdata.html
KNOWN = {"enwik8": (100_000_000, "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8")}
# An encrypted zip is a RuntimeError, one of an unknown method the next.
DAMAGE = (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile, zlib.error, zstandard.ZstdError, RuntimeError,
          NotImplementedError, ValueError)  # fmt: skip


class _Document(msgspec.Struct):
    """A line of OpenWebText2 and its like; other fields are passed over."""

    text: str


def pieces(path: Path) -> Iterator[bytes]:
    """The text of a file in pieces of about 1 MiB, cut behind a line end, or between two characters at least.

    Documents of JSON lines (`.jsonl`, packed or not; field "text") are one piece each. Raises UserError for a file that
    is no text or cannot be read, and, at its end, for one that is not what its name says (KNOWN).
    """
    kind = packing_of(path)
    try:
        with opened(path, kind) as file:
            blocks = bounded(path, file) if kind else iter(lambda: file.read(PIECE), b"")
            blocks = text_only(path, blocks)
            yield from documents(path, blocks) if ".jsonl" in path.suffixes else checked(path, blocks)
    except DAMAGE as error:
        raise UserError(f"{path}: cannot be read as text: {' '.join(str(error).split())}") from error


def packing_of(path: Path) -> str | None:
    """How a file is packed, None for a plain one. Raises UserError for what is no text, by its first bytes or name."""
    kind, named = kind_of(first_bytes(path)), SUFFIXES.get(path.suffix)
    if named and kind != named:
        raise UserError(f"{path}: not a {named} file, as its name says (damaged, or cut short)")
    if kind in SUFFIXES.values():
        return kind
    refuse_kind(path, kind)
    if path.suffix == ".bin":
        raise UserError(
            f"{path}: tokens without their index; a .bin is read with the .idx of the released code beside it"
        )
    return None


def refuse_kind(path: Path, kind: str | None, inside: str = "") -> None:
    """Raise UserError for a known kind of file, which is no text."""
    if kind in SUFFIXES.values():
        raise UserError(f"{path}: packed twice; unpack it once")
    if kind:
        hint = "tokens as an array are not read" if kind == NPY else "unpack it or convert it to UTF-8 text first"
        raise UserError(f"{path}: not a text, {inside or 'it is'} a {kind}: {hint}")


@contextmanager
def opened(path: Path, kind: str | None) -> Iterator[BinaryIO]:
    """The unpacked bytes of a file. Raises UserError for a zip of several files."""
    with path.open("rb") as raw:
        if kind == ZSTD:
            yield io.BufferedReader(_Blocks(unpacked_zstd(path, raw)))
            return
        if kind == ZIP:
            with zipfile.ZipFile(raw) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/")]
                if len(names) != 1:
                    raise UserError(f"{path}: a zip of {len(names)} files; expected the text alone")
                with archive.open(names[0]) as file:
                    yield file  # type: ignore[misc]
            return
        openers: dict[str | None, Callable] = {GZIP: gzip.open, BZIP2: bz2.open, XZ: lzma.open}
        yield openers[kind](raw) if kind else raw


def unpacked_zstd(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    """The bytes of all frames; the library's own reader takes a file that was cut short for a whole one."""
    decompressor = zstandard.ZstdDecompressor()
    frame, rest = decompressor.decompressobj(), b""
    while block := rest or raw.read(ZSTD_INPUT):
        if frame.eof:
            frame = decompressor.decompressobj()
        yield frame.decompress(block)
        rest = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise UserError(f"{path}: cut short: its last frame has no end")


class _Blocks(io.RawIOBase):
    """An iterator of bytes as a file."""

    def __init__(self, blocks: Iterator[bytes]):
        self.blocks, self.rest = blocks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def, override]
        while not self.rest:
            block = next(self.blocks, None)
            if block is None:
                return 0
            self.rest = block
        n = min(len(buffer), len(self.rest))
        buffer[:n], self.rest = self.rest[:n], self.rest[n:]
        return n


def bounded(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a packed file in blocks, until they are more than those of a text can be."""
    left = UNPACKED + UNPACKED_PER_BYTE * path.stat().st_size
    while block := file.read(PIECE):
        left -= len(block)
        if left < 0:
            raise UserError(f"{path}: unpacks to more than {UNPACKED_PER_BYTE} times its size, which no text does")
        yield block


def text_only(path: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks as they are. Raises UserError where the first bytes are not those of a text."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= LOOKED_AT:
            break
    refuse_kind(path, kind_of(head), "it holds")
    looked = head[:LOOKED_AT]
    if looked.count(0) * NULS >= max(len(looked), 2 * NULS):
        utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
        said = "UTF-16 text; convert it to UTF-8" if utf16 else "arrays or tokens of other tools are no text"
        raise UserError(f"{path}: not a text, {looked.count(0):,} of its first {len(looked):,} bytes are NUL: {said}")
    return chain([head] if head else [], blocks)


def documents(path: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The field "text" of every line."""
    decoder = msgspec.json.Decoder(_Document)
    for number, line in enumerate(io.BufferedReader(_Blocks(blocks)), 1):
        if not line.strip():
            continue
        try:
            yield decoder.decode(line).text.encode()
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise UserError(f'{path}: line {number:,} is not a JSON object with a text in "text"') from error


def checked(path: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """A plain text in pieces; at its end its size and hash are compared if its name is a known one."""
    known = KNOWN.get(path.name.removesuffix(path.suffix) if path.suffix in SUFFIXES else path.name)
    digest, size, rest = hashlib.sha256(), 0, b""
    for block in blocks:
        size += len(block)
        if known:
            digest.update(block)
        block = rest + block
        cut = boundary(block)
        rest = block[cut:]
        yield block[:cut]
    if rest:
        yield rest
    if known and (size, digest.hexdigest()) != known:
        raise UserError(f"{path}: {size:,} bytes, sha256 {digest.hexdigest()}: not the text its name says {known}")


def boundary(block: bytes) -> int:
    """Where to cut: behind the last line end, else before the last character that starts in the block."""
    cut = block.rfind(b"\n") + 1
    if cut:
        return cut
    cut = len(block) - 1
    while cut > 0 and block[cut] & 0xC0 == 0x80:  # a UTF-8 continuation byte
        cut -= 1
    return cut or len(block)
