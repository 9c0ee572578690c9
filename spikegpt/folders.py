"""One output folder, whole or absent: filled aside, then put in its place at once, never over what is not ours.

A folder of ours holds `manifest.json`: a schema, the kind of output, and the digest of every other file. It is replaced
only by one of its kind, and only where the manifest names all that is in it and every digest holds; `--force` replaces
what was changed, or another kind. What the manifest does not name is not ours, and is never touched.

The new folder and the old one swap names in one step (renameat2). A folder that cannot be renamed (a mount point, the
working directory, a file system without that step) is filled in place: the new files lie ready inside it, and whoever
writes or reads it next finishes the moving if this process could not.
"""

import ctypes
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikegpt import files, temporaries
from spikegpt.documents import read_document
from spikegpt.errors import UserError
from spikegpt.kinds import require_folder

MANIFEST, SCHEMA = "manifest.json", "spikegpt-folder-1"
STEM = "spikegpt"  # of temporaries inside a folder
READY = "ready"  # their ending once they are whole
SHOWN = 5  # names in a message
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@dataclass
class Staged:
    """A folder to fill at `path`; `facts` go into its manifest."""

    path: Path
    facts: dict = field(default_factory=dict)
    manifest: dict = field(default_factory=dict)  # as written


@contextmanager
def new_folder(
    path: Path, kind: str, *, force: bool = False, shared: Collection[str] = (), reads: Collection[Path] = ()
) -> Iterator[Staged]:
    """Give a folder to fill; when the block ends well it becomes `path` with a manifest, else it vanishes.

    `shared` and `reads` are those of `check`. Raises UserError as `check` does, before the block and again after it.
    """
    check(path, kind, force=force, shared=shared, reads=reads)
    target = Path(os.path.realpath(path))
    inside = target.exists() and (bool(shared) or not _movable(target))
    parent, stem = (target, STEM) if inside else (target.parent, target.name)
    with temporaries.made(parent), temporaries.temporary(parent, stem, directory=True) as beside:
        staged = Staged(beside)
        yield staged
        listed = {str(f.relative_to(beside)): digest(f) for f in sorted(beside.rglob("*")) if f.is_file()}
        staged.manifest = {"schema": SCHEMA, "kind": kind, **staged.facts, "files": listed}
        text = json.dumps(staged.manifest, indent=1) + "\n"
        (beside / MANIFEST).write_text(text, encoding="utf-8")
        for file in beside.rglob("*"):
            files.flush(file)
        if inside:
            check(path, kind, force=force, shared=shared)
            _settle(beside, target)
        elif not os.path.lexists(target):
            beside.rename(target)
        elif not _exchange(beside, target):
            with temporaries.temporary(target, STEM, directory=True) as copy:
                shutil.copytree(beside, copy, dirs_exist_ok=True)
                _settle(copy, target)
        elif problem := _problem(path, beside, kind, force, shared):  # somebody put a file there in the meantime
            _exchange(beside, target)
            raise UserError(problem)
        files.flush(parent)


def check(
    path: Path, kind: str, *, force: bool = False, shared: Collection[str] = (), reads: Collection[Path] = ()
) -> None:
    """Whether `path` may become a folder of this kind, to be asked before any work is done.

    `shared` names the files of an output that lies among others' files, which stay; `reads` are files that the command
    reads, which must not lie in the folder. Raises UserError, naming what is in the way.
    """
    target = Path(os.path.realpath(path))
    with files.naming(path):
        if os.path.lexists(target) and not target.is_dir():
            raise UserError(f"{path} is a file: name a folder")
        files.check_writable(target if target.exists() else target.parent, path)
        finish(target)
        if problem := target.exists() and _problem(path, target, kind, force, shared):
            raise UserError(problem)
    for read in reads:
        if not shared and Path(os.path.realpath(read)).is_relative_to(target):
            raise UserError(f"{path} holds {read}, which is read: name another folder")


def verified(folder: Path, kind: str) -> dict:
    """The manifest of a folder of this kind whose files are as they were written. Raises UserError, naming those that
    are not."""
    manifest = read_manifest(folder, kind)
    if changed := changed_files(folder, manifest):
        raise UserError(f"{folder}: changed since it was written: {listed(changed)}; write it again")
    return manifest


def read_manifest(folder: Path, kind: str) -> dict:
    """The manifest of a folder of this kind; raises UserError where the folder is none."""
    require_folder(folder)
    finish(folder)
    if not (folder / MANIFEST).exists():
        raise UserError(f"{folder} holds no {MANIFEST}: it is not a folder that this tool wrote ({kind})")
    manifest = _manifest(folder)
    if manifest is None:
        raise UserError(f"{folder / MANIFEST}: not a manifest of this toolchain (schema {SCHEMA})")
    if manifest["kind"] != kind:
        raise UserError(f"{folder}: a folder of kind {manifest['kind']!r} where {kind!r} is needed")
    return manifest


def changed_files(folder: Path, manifest: dict) -> list[str]:
    """Files that are missing or do not hold the bytes that the manifest names."""
    return [
        name
        for name, known in manifest["files"].items()
        if not (folder / name).is_file() or digest(folder / name) != known
    ]


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return files.sha256(file)


def listed(names: Collection[str]) -> str:
    """The first names of a message."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(list(names)[:SHOWN]) + more


def finish(target: Path) -> None:
    """Move the files that a writer who is gone left ready inside a folder, and remove those that were not."""
    for ready in temporaries.named(target, STEM, READY):
        with temporaries.abandoned(ready) as dead, suppress(OSError):  # who may only read finds the digests wrong
            if dead:
                _move(ready, target)
    temporaries.sweep(target, STEM)


def _manifest(folder: Path) -> dict | None:
    """The manifest if it is one of ours and names files inside the folder, else None."""
    try:
        found = read_document(folder / MANIFEST, dict[str, Any])
    except UserError:
        return None
    if found.get("schema") != SCHEMA or not isinstance(found.get("kind"), str):
        return None
    named = found.get("files")
    if not isinstance(named, dict) or not all(isinstance(value, str) for value in named.values()):
        return None
    inside = (name and not Path(name).is_absolute() and ".." not in Path(name).parts for name in named)
    return found if all(inside) else None


def _problem(path: Path, folder: Path, kind: str, force: bool, shared: Collection[str]) -> str | None:
    """What forbids to replace what is in `folder`, which the user calls `path`; None if nothing does."""
    manifest = _manifest(folder)
    ours = {MANIFEST, *manifest["files"]} if manifest else set()
    there = {name for name in (MANIFEST, *shared) if os.path.lexists(folder / name)} if shared else _contents(folder)
    if foreign := sorted(there - ours):
        return f"{path} holds files that this tool did not write: {listed(foreign)}; name another folder"
    if manifest is None:
        return None
    if manifest["kind"] != kind and shared:
        return f"{path} holds an output of kind {manifest['kind']!r}: name another folder"
    if manifest["kind"] != kind and not force:
        return f"{path} holds an output of kind {manifest['kind']!r}: name another folder, or pass --force"
    changed = [name for name in changed_files(folder, manifest) if os.path.lexists(folder / name)]
    if changed and not force:
        return f"{path} was changed since it was written: {listed(changed)}; name another folder, or pass --force"
    return None


def _contents(folder: Path) -> set[str]:
    """Every file, link and empty folder inside, but temporaries of ours."""
    own = {*temporaries.named(folder, STEM), *temporaries.named(folder, STEM, READY)}
    found, waiting = set(), [folder]
    while waiting:
        inside = [path for path in waiting.pop().iterdir() if path not in own]
        for path in inside:
            if path.is_dir() and not path.is_symlink() and any(path.iterdir()):
                waiting.append(path)
            else:
                found.add(str(path.relative_to(folder)))
    return found


def _movable(target: Path) -> bool:
    """Whether a folder may change its name: not the working directory, on its parent's disk, in a parent of ours."""
    here = Path(os.path.realpath(".")).is_relative_to(target)
    return not here and target.stat().st_dev == target.parent.stat().st_dev and os.access(target.parent, os.W_OK)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and not rename(
        AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), ctypes.c_uint(RENAME_EXCHANGE)
    )


def _settle(staged: Path, target: Path) -> None:
    """Put the files of a folder inside `target` into their places: from the first rename on, it will be finished."""
    ready = staged.with_suffix(f".{READY}")
    staged.rename(ready)
    files.flush(target)
    _move(ready, target)


def _move(ready: Path, target: Path) -> None:
    """Remove the files of the old manifest that the new one lacks, then move the new ones, the manifest last."""
    new, old = _manifest(ready), _manifest(target)
    if new is not None:
        root = Path(os.path.realpath(target))
        for name in sorted((old or new)["files"].keys() - new["files"].keys()):
            path = root / name
            if Path(os.path.realpath(path.parent)).is_relative_to(root):
                temporaries.remove(path)
                with suppress(OSError):
                    path.parent.rmdir()
        for name in (*new["files"], MANIFEST):
            if os.path.lexists(ready / name):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (ready / name).replace(root / name)
        files.flush(root)
    temporaries.remove(ready)
