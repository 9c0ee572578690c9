"""Reading and writing `.nir` files: the extensions registered, every fault a clear error, nothing half-written."""

from pathlib import Path

import h5py
import nir
import numpy as np

from exporters.nir.extensions import EXTENSIONS
from spikegpt.errors import UserError
from spikegpt.files import write_atomically

STANDARD = (nir.Input, nir.Output, nir.Linear, nir.Affine, nir.Scale, nir.Delay, nir.LIF)
SUPPORTED = {cls.__name__ for cls in STANDARD + EXTENSIONS}


def write(graph: nir.NIRGraph, path: str | Path) -> None:
    """Write a graph atomically, uncompressed (trained weights do not compress, and gzip costs 5x the time)."""
    write_atomically(Path(path), lambda beside: nir.write(beside, graph, compression=None))


def read(path: str | Path) -> nir.NIRGraph:
    """Read a `.nir` file and check it.

    Raises UserError if the file is missing, damaged, or holds nodes this toolchain does not understand.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            kinds = {name: node["type"][()].decode() for name, node in file["node"]["nodes"].items()}
        unknown = [name for name, kind in kinds.items() if kind not in SUPPORTED]
        if unknown:
            raise UserError(
                f"{path}: node {unknown[0]!r} is a {kinds[unknown[0]]}, which is not supported; "
                f"known: {', '.join(sorted(SUPPORTED))}"
            )
        graph = nir.read(path)
    except (OSError, KeyError, ValueError, TypeError, AssertionError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a readable NIR graph: {reason}") from error
    check(graph, str(path))
    return graph


def check(graph: nir.NIRGraph, where: str) -> None:
    """Raise UserError when a node holds NaN or infinite numbers."""
    for name, node in graph.nodes.items():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
                raise UserError(f"{where}: node {name!r}: {field} holds NaN or infinite values")
