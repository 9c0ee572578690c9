"""One output file, whole or absent: written beside its place, flushed, renamed; and what is swept up or refused first.

The exported folder carries this module: it needs the standard library alone.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from spikegpt.errors import UserError
from spikegpt.temporaries import made, temporary

MARK = "spikegpt-output-1"  # with a digest at the end of a file that a user may name: it is ours, and unchanged
SIGNATURE = re.compile(rb"%s ([0-9a-f]{64})(?: -->\n)?\Z" % MARK.encode())
BLOCK = 1 << 20


class Sink:
    """A binary file whose writes never fail before it is closed: HDF5 and torch crash on an error inside their own.

    The first OSError is kept, later writes are dropped, and `check` raises what was kept.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.name, self.error = file, file.name, cast(OSError | None, None)
        self.read, self.readinto = file.read, file.readinto  # type: ignore[attr-defined]
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if size and self.error is None:
            self._try(self._write_all, memoryview(data).cast("B"))
        return size

    def _write_all(self, data: memoryview) -> None:
        while data:  # a nearly full disk takes a part
            data = data[self.file.write(data) :]

    def truncate(self, size: int | None = None) -> None:
        self._try(self.file.truncate, size)

    def flush(self) -> None:
        self._try(self.file.flush)

    def check(self) -> None:
        """Raise the first error that a write met."""
        if self.error is not None:
            raise self.error

    def _try(self, what: Callable, *arguments: Any) -> None:
        try:
            what(*arguments)
        except OSError as error:
            self.error = self.error or error


def write(path: Path, fill: Callable[[Any], Any], *, signed: bool = False) -> None:
    """Let `fill` write a binary file that takes the place of `path` when it is whole and on the disk.

    `fill` gets an open `Sink`, whose `name` is the temporary file. `signed` files end with a mark and their digest.
    Raises OSError, with nothing changed, when the disk is full or the place cannot be written.
    """
    target = Path(os.path.realpath(path))
    with made(target.parent), temporary(target.parent, target.name) as beside:
        with beside.open("r+b", buffering=0) as file:
            sink = Sink(cast(BinaryIO, file))
            try:
                fill(sink)
            finally:
                sink.check()  # in place of what a library made of it
        if signed:
            sign(beside)
        flush(beside)
        try:
            beside.replace(target)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            shutil.copyfile(beside, target)  # a mount point, which cannot be renamed over
        flush(target.parent)


def write_text(path: Path, text: str, *, signed: bool = False) -> None:
    """Write a text as UTF-8; what no UTF-8 can say (bytes of a file's name) as escapes."""
    write(path, lambda file: file.write(text.encode(errors="backslashreplace")), signed=signed)


def check(path: Path, *, force: bool = False) -> None:
    """Whether `write` may give `path` a signed file, to be asked before any work is done.

    Raises UserError where it is a folder or a file that we did not write, or that was changed since (unless `force`),
    or where its folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    with naming(path):
        check_writable(target.parent, path)
        try:
            mode = target.stat().st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            raise UserError(f"{path} is a folder: name a file")
        if not stat.S_ISREG(mode):
            raise UserError(f"{path} is no regular file: name another")
        whole = signature(target)
    if whole is None:
        raise UserError(f"{path} exists and is not a file that this tool wrote: name another")
    if not whole and not force:
        raise UserError(f"{path} was changed since it was written: name another file, or pass --force to replace it")


def check_writable(folder: Path, named: Path) -> None:
    """Raises UserError unless `folder` can be written, or made in the nearest one above it that exists."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"{named}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{named}: the folder {folder} cannot be written")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what the system says of a path (a name too long, a loop of links) into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def sign(path: Path) -> None:
    """End a file with MARK and the digest of all before it: the comment of a zip archive (.npz, .pt), else of XML."""
    with path.open("r+b") as file:
        archive = file.read(2) == b"PK"
        size = len(MARK) + 1 + 64
        if archive:
            file.seek(-2, os.SEEK_END)
            file.write(size.to_bytes(2, "little"))  # the length of the comment that follows
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"<!-- ")
        digest = sha256(file, file.tell())
        file.seek(0, os.SEEK_END)
        file.write(f"{MARK} {digest}".encode() + (b"" if archive else b" -->\n"))


def signature(path: Path) -> bool | None:
    """None for a file that does not end with our mark, else whether it holds what it did when it was signed."""
    with path.open("rb") as file:
        start, digest = _mark(file)
        return None if digest is None else sha256(file, start) == digest


def content_size(path: Path) -> int:
    """The bytes of a file in front of our mark, where it ends with that; else all."""
    with path.open("rb") as file:
        start, digest = _mark(file)
        return start - len(b"<!-- ") if digest else start


def _mark(file: BinaryIO) -> tuple[int, str | None]:
    """Where our mark begins and the digest in it; the end of the file and None without one."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - 200)
    file.seek(start)
    found = SIGNATURE.search(file.read())
    return (start + found.start(), found[1].decode()) if found else (size, None)


def sha256(file: BinaryIO, size: int | None = None) -> str:
    """The digest of the first `size` bytes of an open file (default: all), read in parts."""
    digest, left = hashlib.sha256(), os.fstat(file.fileno()).st_size if size is None else size
    file.seek(0)
    while left > 0 and (block := file.read(min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that knows no fsync of folders
            raise
    finally:
        os.close(descriptor)
