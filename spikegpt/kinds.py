"""What a file is by its first bytes, and that it is a file at all: asked before anything parses it."""

import os
import stat
from pathlib import Path

from spikegpt.errors import UserError

HEAD = 4096  # bytes that are looked at
GZIP, BZIP2, XZ, ZSTD, ZIP, HDF5, NPY = "gzip", "bzip2", "xz", "Zstandard", "zip", "HDF5", "numpy array"
SIGNATURES = (
    (b"\x1f\x8b", GZIP),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\x00", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"\x93NUMPY", NPY),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (b"Rar!\x1a\x07", "RAR archive"),
    (b"\x04\x22\x4d\x18", "LZ4 file"),
    (b"\x02\x21\x4c\x18", "LZ4 file"),
    (b"\xff\x06\x00\x00sNaPpY", "Snappy file"),
    (b"\x1f\x9d", "compress (.Z) file"),
    (b"\x1f\xa0", "compress (.Z) file"),
    (b"LZIP\x01", "lzip file"),
    (b"\x5d\x00\x00", "LZMA file"),
    (b"PAR1", "Parquet table"),
    (b"ARROW1", "Arrow table"),
    (b"ORC", "ORC table"),
    (b"Obj\x01", "Avro file"),
    (b"SQLite format 3\x00", "SQLite database"),
    (b"%PDF-", "PDF document"),
    (b"\x89PNG\r\n\x1a\n", "PNG picture"),
    (b"\xff\xd8\xff", "JPEG picture"),
    (b"GIF87a", "GIF picture"),
    (b"GIF89a", "GIF picture"),
    (b"RIFF", "RIFF (audio or video) file"),
    (b"OggS", "Ogg file"),
    (b"fLaC", "FLAC file"),
    (b"ID3", "MP3 file"),
    (b"\x7fELF", "ELF program"),
    (b"\xca\xfe\xba\xbe", "Java class or Mach-O program"),
    (b"\xcf\xfa\xed\xfe", "Mach-O program"),
    (b"GGUF", "GGUF model"),
    (b"ggml", "GGML model"),
    (b"MMIDIDX\x00", "token index (.idx)"),
    (b"{\\rtf", "RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Microsoft Office document"),
)
PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def kind_of(head: bytes) -> str | None:
    """The name of a kind of file that opens with `head` (its first HEAD bytes), None for one that is not known."""
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[257:262] == b"ustar":
        return "tar archive"
    if head[4:8] == b"ftyp":
        return "MP4 file"
    if head.startswith(PICKLE) and head[2:3] in b"\x95}(]c\x8aq":
        return "Python pickle"
    if head[8:10] == b'{"' and 0 < int.from_bytes(head[:8], "little") < 100 << 20:
        return "safetensors file"
    return None


def first_bytes(path: Path) -> bytes:
    """The first HEAD bytes of a regular file. Raises UserError where there is none."""
    require_file(path)
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def require_folder(path: Path) -> None:
    """Raise UserError for what is missing, or no folder."""
    if not os.path.lexists(path):
        raise UserError(f"{path}: no such folder")
    if not path.is_dir():
        raise UserError(f"{path} is a file; name a folder")


def require_file(path: Path) -> None:
    """Raise UserError for what is missing, a folder, or no regular file: a FIFO would hang, a device has no end."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(mode):
        raise UserError(f"{path} is a folder; name a file in it")
    if not stat.S_ISREG(mode):
        raise UserError(f"{path} is not a regular file")
