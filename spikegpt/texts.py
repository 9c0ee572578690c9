"""Texts as they are distributed, read in pieces: plain, `.xz`, `.zip` (enwik8), `.jsonl.zst` (OpenWebText2)."""

import hashlib
import io
import json
import lzma
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from spikegpt.errors import UserError

PIECE = 1 << 20  # bytes
# Texts that must be what their name says: name -> (bytes, sha256). http://mattmahoney.net/dc/textdata.html
KNOWN = {"enwik8": (100_000_000, "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8")}


def pieces(path: Path) -> Iterator[bytes]:
    """The text of a file in pieces of about 1 MiB, cut behind a line end, or between two characters at least.

    Documents of a `.jsonl` or `.jsonl.zst` file (field "text") are one piece each. Raises UserError for a file that
    cannot be read, and, at its end, for one that is not what its name says (KNOWN).
    """
    try:
        with open_text(path) as file:
            if ".jsonl" in path.suffixes:
                yield from documents(path, file)
            else:
                yield from checked(path, file)
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile, zstandard.ZstdError) as error:
        raise UserError(f"{path}: cannot be read as text: {error}") from error


def open_text(path: Path) -> BinaryIO:
    """The unpacked bytes of a file, as its suffix tells how."""
    if path.suffix == ".xz":
        return lzma.open(path)  # type: ignore[return-value]
    if path.suffix == ".zst":
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True))
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(path)
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise UserError(f"{path}: holds {len(names)} files; expected the text alone")
        return archive.open(names[0])  # type: ignore[return-value]
    return path.open("rb")


def documents(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """The field "text" of every line."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)["text"].encode()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f'{path}: line {number:,} is not a JSON object with a text in "text"') from error


def checked(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """A plain text in pieces; at its end its size and hash are compared if its name is a known one."""
    known = KNOWN.get(path.name.removesuffix(path.suffix) if path.suffix in (".zip", ".xz", ".zst") else path.name)
    digest, size, rest = hashlib.sha256(), 0, b""
    while block := file.read(PIECE):
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
