"""The deployment targets, registered by name: each writes one directory from a float NIR graph, whole or not at all."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import nir

from exporters.loihi.bundle import write_bundle
from exporters.nir import write
from spikegpt import __version__
from spikegpt.errors import UserError
from spikegpt.files import directory


@dataclass(frozen=True)
class Target:
    """A name for the command line, what it supports, and the function that fills a directory."""

    name: str
    supports: str
    fill: Callable[[nir.NIRGraph, Path], dict]


def fill_nir(graph: nir.NIRGraph, folder: Path) -> dict:
    """model.nir, the complete float model."""
    write(graph, folder / "model.nir")
    return {"nodes": len(graph.nodes)}


TARGETS = {
    target.name: target
    for target in (
        Target("nir", "all variants: the complete float model as one NIR graph", fill_nir),
        Target("loihi", "all variants: int8 NIR, limits check, Lava processes in fixed point", write_bundle),
    )
}


def export_to(name: str, graph: nir.NIRGraph, out: Path) -> dict:
    """Fill `out` for a target and add manifest.json; returns the manifest. An old `out` survives any failure.

    Raises UserError for an unknown target or a model that does not fit it.
    """
    if name not in TARGETS:
        raise UserError(f"target {name!r} is not one of {', '.join(TARGETS)}")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "manifest.json").exists())):
        raise UserError(f"{out} holds something that is not an export; choose another --out")
    with directory(out) as folder:
        facts = TARGETS[name].fill(graph, folder)
        manifest = {
            "target": name,
            "spikegpt": __version__,
            "versions": {package: version(package) for package in ("nir", "numpy")},
            "source": {k: v for k, v in graph.metadata.items() if isinstance(v, str | int | float)},
            **facts,
            "files": {
                str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
                for f in sorted(folder.rglob("*"))
                if f.is_file()
            },
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest
