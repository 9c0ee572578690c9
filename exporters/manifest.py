"""What an export says of itself: the target it is for, and that its files are those that were written."""

from pathlib import Path

from spikegpt import folders
from spikegpt.errors import UserError

KIND = "export"
NETWORKS = {"loihi": "model-int8.nir", "nir": "model.nir"}  # the graph that is run where a folder is named


def read_export(folder: Path, target: str) -> dict:
    """The manifest of an export for `target`; raises UserError where the folder is none."""
    manifest = folders.read_manifest(folder, KIND)
    if manifest.get("target") != target:
        raise UserError(f"{folder} is an export for {manifest.get('target')}, not for {target}")
    return manifest


def network_of(folder: Path) -> Path:
    """The `.nir` file of an export whose files are all as they were written; raises UserError for any other folder."""
    target = folders.verified(folder, KIND).get("target")
    if target not in NETWORKS:
        raise UserError(f"{folder} is an export for {target}: name one for {' or '.join(NETWORKS)}")
    return folder / NETWORKS[target]
