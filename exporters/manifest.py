"""The manifest of an export: what every file was when it was written."""

import hashlib
import json
from pathlib import Path

from spikegpt.errors import UserError

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """The digest of a file, read in parts."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def read_manifest(folder: Path, target: str) -> dict:
    """The manifest of an export for `target`; raises UserError where the folder is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if manifest["target"] != target:
            raise UserError(f"{folder} is an export for {manifest['target']}, not for {target}")
        for name, digest in manifest["files"].items():
            if not isinstance(digest, str) or Path(name).is_absolute() or ".." in Path(name).parts:
                raise UserError(f"{folder / MANIFEST}: the entry of {name} is not a digest of a file in the folder")
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no {MANIFEST}: name an export for {target}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / MANIFEST}: not a manifest of this toolchain") from error
    return manifest


def changed_files(folder: Path, manifest: dict) -> list[str]:
    """Files that are missing or do not hold the bytes that the manifest names."""
    return [
        name
        for name, digest in manifest["files"].items()
        if not (folder / name).is_file() or sha256(folder / name) != digest
    ]
