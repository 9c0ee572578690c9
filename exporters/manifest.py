"""The manifest of an export: what every file was when it was written."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from spikegpt.documents import read_document
from spikegpt.errors import UserError

MANIFEST = "manifest.json"
NETWORKS = {"loihi": "model-int8.nir", "nir": "model.nir"}  # the graph that is run where a folder is named


def sha256(path: Path) -> str:
    """The digest of a file, read in parts."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


class _Manifest(msgspec.Struct):
    """What every manifest holds; targets add facts of their own."""

    target: str
    files: dict[str, str]


def read_manifest(folder: Path, target: str | None = None) -> dict:
    """The manifest of an export for `target` (None: for any); raises UserError where the folder is none."""
    path = folder / MANIFEST
    if not path.exists():
        raise UserError(f"{folder} holds no {MANIFEST}: name an export" + (f" for {target}" if target else ""))
    manifest: dict[str, Any] = read_document(path, dict[str, Any])
    try:
        held = msgspec.convert(manifest, _Manifest)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: not a manifest of this toolchain ({error})") from error
    if target not in (None, held.target):
        raise UserError(f"{folder} is an export for {held.target}, not for {target}")
    for name in held.files:
        if not name or Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise UserError(f"{path}: the entry of {name!r} does not name a file in the folder")
    return manifest


def network_of(folder: Path) -> Path:
    """The `.nir` file of an export. Raises UserError for any other folder, and for an export without one."""
    target = read_manifest(folder)["target"]
    if target not in NETWORKS:
        raise UserError(f"{folder} is an export for {target}: name one for {' or '.join(NETWORKS)}")
    return folder / NETWORKS[target]


def changed_files(folder: Path, manifest: dict) -> list[str]:
    """Files that are missing or do not hold the bytes that the manifest names."""
    return [
        name
        for name, digest in manifest["files"].items()
        if not (folder / name).is_file() or sha256(folder / name) != digest
    ]
