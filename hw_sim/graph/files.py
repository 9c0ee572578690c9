"""Reading and writing `.nir` files: streamed, whole or absent, and never trusting what a file says of itself."""

import hashlib
import json
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from hw_sim.graph.check import SUPPORTED, check
from hw_sim.graph.nested import DEEPEST, inlined
from hw_sim.graph.screen import screened
from hw_sim.graph.shapes import flattened
from hw_sim.graph.windows import WINDOWS
from spikegpt import files
from spikegpt.errors import UserError
from spikegpt.kinds import HDF5, first_bytes, kind_of

UNPACKED_S = 64 << 20  # bytes of a file that may be unpacked in a second
SLAB = 1 << 20  # values of an array written at a time: a transposed or mapped array is never copied whole
UNPACKED = 64 << 20  # bytes that any file may unpack to,
UNPACKED_PER_BYTE = 20  # and for each byte that it holds, so many more: compressed zeros are not a network
LOOKED_AT = 1 << 20  # bytes; larger arrays of plain numbers are not read twice
DIGEST = "spikegpt_digest"  # attribute of files that `write` left
MAPPED = 1 << 16  # bytes; larger arrays of plain numbers stay in the file
# What h5py, nir and numpy raise on a damaged file.
DAMAGE = (OSError, KeyError, ValueError, TypeError, AssertionError, AttributeError, IndexError, RuntimeError,
          OverflowError, MemoryError)  # fmt: skip


def write(graph: nir.NIRGraph, path: str | Path) -> None:
    """Write a graph atomically, laid out as `nir.write` does, uncompressed and array by array.

    Trained weights do not compress, and gzip costs 5x the time; `nir.write` would copy the whole graph first. A digest
    of all values goes into an attribute of the file, which other readers pass over.
    """
    files.write(Path(path), lambda file: _store(graph, file))


class Digest:
    """sha256 over the values of a file by their places, whatever the order in which they come."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def add(self, place: str, value: Any) -> None:
        """A text, a number or an array, as `_Reader.value` gives it."""
        array = np.asarray(value)
        if array.dtype.kind not in "fiubc":  # texts
            array = np.frombuffer(json.dumps(_texts(array)).encode(), np.uint8)
        found = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
        rows = max(1, SLAB // max(1, array[0].size)) if array.ndim and len(array) else 1
        for low in range(0, len(array) if array.ndim else 1, rows):
            found.update(np.ascontiguousarray(array[low : low + rows] if array.ndim else array).data)
        self.values[place] = found.hexdigest()

    @property
    def whole(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self.values.items())).encode()).hexdigest()


def _texts(array: np.ndarray) -> Any:
    """Bytes and texts in nested lists, as texts."""
    flat = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel().tolist()]
    return [list(array.shape), flat]


def _store(graph: nir.NIRGraph, sink: Any) -> None:
    with h5py.File(sink, "w") as file:
        _store_value(file, "version", nir.version)
        digest = Digest()
        root = file.create_group("node")
        _store_value(root, "type", "NIRGraph", digest)
        _store_value(root, "edges", sorted(graph.edges), digest)
        _store_group(root, "metadata", graph.metadata, digest)
        nodes = root.create_group("nodes")
        for name in sorted(graph.nodes):
            sink.check()  # no use in going on where the disk is full
            node = graph.nodes[name]
            held = {f.name: getattr(node, f.name) for f in fields(node)}
            ports = held.pop("input_type"), held.pop("output_type")
            if isinstance(node, nir.Input | nir.Output):
                held["shape"] = next(iter(ports[isinstance(node, nir.Output)].values()))
            _store_group(nodes, name, {**held, "type": type(node).__name__}, digest)
        file.attrs[DIGEST] = digest.whole


def _store_group(parent: h5py.Group, name: str, values: dict[str, Any], digest: Digest) -> None:
    if not values:
        return
    group = parent.create_group(name)
    for key, value in values.items():
        if isinstance(value, dict):
            _store_group(group, key, value, digest)
        else:
            _store_value(group, key, value, digest)


def _store_value(group: h5py.Group, key: str, value: Any, digest: Digest | None = None) -> None:
    if isinstance(value, str):
        group.create_dataset(key, data=value, dtype=h5py.string_dtype())
    elif not isinstance(value, np.ndarray) or not value.ndim:
        group.create_dataset(key, data=value)
    else:
        stored = group.create_dataset(key, value.shape, value.dtype)
        rows = max(1, SLAB // max(1, value[0].size))
        for low in range(0, len(value), rows):
            stored[low : low + rows] = value[low : low + rows]
    if digest is not None:
        digest.add(group[key].name, value if isinstance(value, np.ndarray) and value.ndim else group[key][()])


def read(path: str | Path) -> nir.NIRGraph:
    """Read a `.nir` file and check it. Arrays of more than MAPPED bytes stay in the file and are mapped, read-only.

    Raises UserError if the file is missing, damaged, hostile, or holds nodes this toolchain does not understand.
    """
    graph = load(path)
    if any(isinstance(node, (*WINDOWS, nir.Flatten, nir.NIRGraph)) for node in graph.nodes.values()):
        try:
            graph = flattened(inlined(graph))  # NIR does not keep the shapes that these read
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    check(graph, str(path))
    for node in graph.nodes.values():
        for value in vars(node).values():
            forget(value)
    return graph


def forget(values: Any) -> None:
    """Give back the memory of an array that is mapped from a file, until it is read again."""
    while isinstance(values, np.ndarray) and values.base is not None:
        values = values.base
    if isinstance(values, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        values.madvise(mmap.MADV_DONTNEED)


def load(path: str | Path) -> nir.NIRGraph:
    """The graph that a `.nir` file spells, not yet checked; raises UserError where it spells none."""
    path = Path(path)
    kind = kind_of(first_bytes(path))
    if kind != HDF5:
        raise UserError(f"{path}: not a readable NIR graph: not HDF5" + (f" but a {kind}" if kind else ""))
    budget = UNPACKED + UNPACKED_PER_BYTE * path.stat().st_size
    try:
        screened(lambda: _look(path, budget), min(budget, UNPACKED), path.stat().st_size // UNPACKED_S)
        with h5py.File(path, "r") as file:
            reader = _Reader(budget)
            graph, stored = _graph(file, reader), file.attrs.get(DIGEST)
        if stored is not None and stored != reader.digest.whole:
            raise UserError(f"damaged or changed since it was written: its values are not those of its {DIGEST}")
        return graph
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except DAMAGE as error:
        raise UserError(f"{path}: not a readable NIR graph: {_reason(error)}") from error


def _look(path: Path, budget: int) -> None:
    """Read all that a graph is made of but its large arrays; raises what reading it would raise."""
    try:
        with h5py.File(path, "r") as file:
            reader = _Reader(budget, largest=LOOKED_AT)
            _look_into(file["node"], reader)
    except DAMAGE as error:
        raise UserError(f"not a readable NIR graph: {_reason(error)}") from error


def _look_into(graph: h5py.Group, reader: "_Reader", depth: int = 0) -> None:
    reader.values(graph)
    for name, group in _nodes(graph, depth):
        with _named(name):
            if "nodes" in group:
                _look_into(group, reader, depth + 1)
            else:
                reader.values(group)


def _nodes(graph: h5py.Group, depth: int) -> list[tuple[str, h5py.Group]]:
    """The nodes of a group that holds a graph, by name. Raises UserError for one that lies too deep."""
    if depth > DEEPEST:
        raise UserError(f"graphs lie more than {DEEPEST} deep in one another")
    held = graph["nodes"]
    for name in held:
        if not isinstance(held.get(name, getlink=True), h5py.HardLink):
            raise UserError(f"{held.name}/{name} is a link to elsewhere")
    return list(held.items())


class _Reader:
    """Reads data sets of one file until they hold more than the file can be trusted with."""

    def __init__(self, budget: int, largest: int | None = None):
        self.budget, self.largest = budget, largest  # arrays of more bytes than `largest` are passed over
        self.mapped: mmap.mmap | None = None
        self.digest = Digest()

    def whole(self, file: h5py.File) -> mmap.mmap:
        """The file as memory, mapped once."""
        if self.mapped is None:
            with Path(file.filename).open("rb") as raw:
                self.mapped = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
        return self.mapped

    def values(self, group: h5py.Group) -> dict[str, Any]:
        """The data sets of a group; a group inside it is metadata, or not ours."""
        held = {}
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise UserError(f"{group.name}/{key} is a link to elsewhere")
            item = group[key]
            if isinstance(item, h5py.Dataset):
                held[key] = self.value(item)
            elif key == "metadata":
                held[key] = {k: self.value(v) for k, v in item.items() if isinstance(v, h5py.Dataset)}
            elif key != "nodes":
                raise UserError(f"{group.name}/{key} is a group where a value should be")
        return held

    def value(self, item: h5py.Dataset) -> Any:
        if item.is_virtual or item.external:
            raise UserError(f"{item.name} keeps its numbers in another file, which is not followed")
        if item.dtype.kind not in "fiubcS" and h5py.check_string_dtype(item.dtype) is None:
            raise UserError(f"{item.name} holds {item.dtype}, neither numbers nor text")
        held = item.size * item.dtype.itemsize
        self.budget -= held
        if self.budget < 0:
            raise UserError(f"{item.name} of shape {item.shape} unpacks to far more than the file holds")
        start = item.id.get_offset()  # None unless the numbers lie in the file as they are in memory
        if self.largest is not None and held > self.largest and item.dtype.kind in "fiu":
            rows = max(1, SLAB * item.shape[0] // item.size) if start is None else item.shape[0]
            for low in range(0, item.shape[0] if start is None else 0, rows):
                _ = item[low : low + rows]  # chunks may be damaged, so that unpacking them crashes
            return None
        plain = start is not None and item.dtype.kind in "fiu" and item.dtype.isnative
        if plain and held > MAPPED and self.largest is None:
            value = np.ndarray(item.shape, item.dtype, self.whole(item.file), start)
            self.digest.add(item.name, value)
            forget(value)
            return value
        value = item[()]
        self.digest.add(item.name, value)
        return value.decode() if isinstance(value, bytes) else value


def _graph(file: h5py.File, reader: _Reader) -> nir.NIRGraph:
    return _subgraph(file["node"], reader)


def _subgraph(root: h5py.Group, reader: _Reader, depth: int = 0) -> nir.NIRGraph:
    own = reader.values(root)
    nodes: dict[str, nir.NIRNode] = {}
    for name, group in _nodes(root, depth):
        with _named(name):
            nodes[name] = _subgraph(group, reader, depth + 1) if "nodes" in group else _node(reader.values(group))
    edges = [(source.decode(), target.decode()) for source, target in own["edges"]]
    return nir.NIRGraph(nodes, edges, metadata=own.get("metadata", {}), type_check=False)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the node's name in front of what goes wrong with it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"node {name!r}: {error}") from error
    except DAMAGE as error:
        raise UserError(f"node {name!r}: {_reason(error)}") from error


def _node(held: dict[str, Any]) -> nir.NIRNode:
    kind = held["type"]
    if kind not in SUPPORTED:
        raise UserError(f"it is a {kind}, which is not supported; known: {', '.join(sorted(SUPPORTED))}")
    return SUPPORTED[kind].from_dict(held)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
