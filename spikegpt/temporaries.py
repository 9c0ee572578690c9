"""What is being written: files and folders under names that no two processes share, swept up once their writer is gone.

They are called `.NAME.xxxxxxxx.part`, and their writer holds a lock (flock) on them, which ends with the process in
whatever way, also where two containers share a folder and the process ids: the next writer of NAME removes those that
nobody holds. The exported folder carries this module: it needs the standard library alone.
"""

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = "part"  # the ending of a temporary
STEM = 50  # characters of a name that its temporaries repeat, so that theirs stay short


@contextmanager
def temporary(folder: Path, stem: str, *, directory: bool = False) -> Iterator[Path]:
    """A new file or folder in `folder`, held by a lock; what is left of it when the block ends is removed.

    Those of the same stem whose writers are gone are removed first.
    """
    with _held(folder, *_around(stem), directory) as path:
        yield path


@contextmanager
def workspace(stem: str) -> Iterator[Path]:
    """A temporary folder, STEM-xxxxxxxx, under the same rule as `temporary`."""
    with _held(Path(tempfile.gettempdir()), f"{stem}-", "", True) as path:
        yield path


@contextmanager
def _held(folder: Path, before: str, after: str, directory: bool) -> Iterator[Path]:
    _sweep(folder, before, after)
    path, descriptor = folder, None
    try:
        while descriptor is None:
            path = folder / f"{before}{secrets.token_hex(4)}{after}"  # known before it is there: a signal may follow
            descriptor = _create(path, directory)
        yield path
    finally:
        if path != folder:
            remove(path)
        if descriptor is not None:
            os.close(descriptor)


def _create(path: Path, directory: bool) -> int | None:
    """Make a file or folder and lock it; None where a sweeper came between the two."""
    if directory:
        path.mkdir()
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    else:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    if lock(descriptor) is not False and path.exists():
        return descriptor
    os.close(descriptor)
    return None


def _around(stem: str, ending: str = PART) -> tuple[str, str]:
    return f".{stem[:STEM]}.", f".{ending}"


def lock(descriptor: int) -> bool | None:
    """Whether this process now holds the lock; None where the file system has none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def named(folder: Path, stem: str, ending: str = PART) -> list[Path]:
    """The temporaries of a stem in a folder."""
    return _named(folder, *_around(stem, ending))


def _named(folder: Path, before: str, after: str) -> list[Path]:
    name = re.compile(re.escape(before) + "[0-9a-f]{8}" + re.escape(after))
    with suppress(OSError), os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if name.fullmatch(entry.name)]
    return []


@contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether nobody holds a temporary, and it is this user's; then this process holds it for the block."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield False
        return
    try:
        yield os.fstat(descriptor).st_uid == os.geteuid() and lock(descriptor) is True
    finally:
        os.close(descriptor)


def sweep(folder: Path, stem: str) -> None:
    """Remove the temporaries that dead writers of `stem` left in `folder`."""
    _sweep(folder, *_around(stem))


def _sweep(folder: Path, before: str, after: str) -> None:
    for path in _named(folder, before, after):
        with abandoned(path) as dead:
            if dead:
                remove(path)


def remove(path: Path) -> None:
    """Remove a temporary file or folder of ours, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; when the block fails, those made here and still empty are removed."""
    new = [f for f in (folder, *folder.parents) if not os.path.lexists(f)]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for above in new:
                above.rmdir()
        raise
