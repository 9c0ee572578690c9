"""Files of tensors that strangers wrote: torch archives, safetensors, shards under an index, and folders of them.

Nothing but tensors and plain values is unpickled. What a header promises is compared with the bytes that are there
before memory is asked for, and the checksums that an archive holds are compared.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from spikegpt.documents import read_document
from spikegpt.errors import UserError
from spikegpt.kinds import HDF5, first_bytes, kind_of
from spikegpt.shipped import resolved

if TYPE_CHECKING:
    from torch import Tensor  # torch is imported where a file is read: commands that read none start without it

SAFETENSORS, INDEX = ".safetensors", ".index.json"
SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", SAFETENSORS)
FIRST = ("model.pt", "model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json",
         "pytorch_model.bin")  # fmt: skip
PICKLE_LIMIT = 16 << 20  # bytes of an archive's pickle; the record of 20,000 tensors takes 5 MB
EXPORT = "manifest.json"  # in a folder of `spikegpt export`
FLOATS = ("float64", "float32", "bfloat16", "float16")
SHARD = re.compile(r"-(\d+)-of-(\d+)\.(safetensors|bin|pt)$")


class _Index(msgspec.Struct):
    """`model.safetensors.index.json` and its like: which file holds which tensor."""

    weight_map: dict[str, str]


def find(path: Path) -> Path:
    """The file of weights that a path means: itself, that of `shipped:NAME`, or the one in a folder of a run or of
    Hugging Face's.

    Raises UserError for a folder that holds none, or several of equal right.
    """
    path = resolved(path)
    if not path.is_dir():
        return path
    try:
        held = sorted(f.name for f in path.iterdir())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    if EXPORT in held:
        raise UserError(
            f"{path} is a folder of `spikegpt export`, without a PyTorch model: `spikegpt simulate` runs it"
        )
    known = [name for name in FIRST if name in held]
    weights = known[:1] or [name for name in held if name.endswith((*SUFFIXES, INDEX))]
    if len(weights) != 1:
        which = f"several files of weights ({', '.join(weights[:4])}): name one" if weights else "no file of weights"
        raise UserError(f"{path} is a folder that holds {which}")
    return path / weights[0]


def read_weights(path: Path) -> tuple[Any, dict[str, str]]:
    """What a file of weights holds, tensors mapped from it where it allows, and its metadata (safetensors).

    Raises UserError for whatever is damaged, no file of weights, or holds code.
    """
    head = first_bytes(path)
    if path.name.endswith(INDEX):
        return _sharded(path), {}
    if path.suffix == ".onnx":
        raise UserError(f"{path}: an ONNX model; of all commands `spikegpt count` alone reads one")
    kind = kind_of(head)
    if kind == HDF5:
        what = "NIR graph" if path.suffix == ".nir" else "lava-dl network or NIR graph"
        raise UserError(
            f"{path}: an HDF5 file ({what}), which has no PyTorch model: use `spikegpt simulate` or `replay`"
        )
    try:
        if kind == "safetensors file" or path.suffix == SAFETENSORS:
            return _safetensors(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of what it unpickles; what is kept is checked below
            return _torch(path), {}
    except UserError:
        raise
    except (pickle.UnpicklingError, AttributeError) as error:
        said = f", a {kind}" if kind not in (None, "zip", "Python pickle") else ""
        if kind is None and _is_text(head):
            raise UserError(f"{path}: a text, no file of weights ({', '.join(SUFFIXES)})") from error
        raise UserError(
            f"{path}{said}: refused, it is damaged or holds more than weights (pickled code is never run)"
        ) from error
    except (Exception, MemoryError) as error:  # torch, zipfile and safetensors raise whatever a damaged file leads to
        said = kind if kind not in (None, "zip") else " ".join(str(error).split())[:100] or type(error).__name__
        raise UserError(f"{path}: not a readable checkpoint (truncated or of another kind: {said})") from error


def _is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a text, which no pickle of weights begins with."""
    return not any(c < 32 and c not in b"\t\n\r\f" for c in head) and head.isascii() and bool(head)


def _torch(path: Path) -> Any:
    """What torch.load finds, with nothing but tensors and plain values unpickled."""
    import torch

    size = path.stat().st_size
    archive = zipfile.is_zipfile(path)
    if archive:
        _check_archive(path, size)
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    storages: dict[int, int] = {}
    for name, tensor in tensors(found):
        try:
            require_dense(name, tensor)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.element_size() > storage.nbytes() or sum(storages.values()) > size:
            raise UserError(f"{path}: {name} of shape {tuple(tensor.shape)} claims more numbers than the file holds")
    return found


def _check_archive(path: Path, size: int) -> None:
    """Raise UserError unless a zip of torch.save holds what it says: stored records whose checksums agree."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        if any(r.compress_type != zipfile.ZIP_STORED or r.flag_bits & 1 for r in records):
            raise UserError(f"{path}: a compressed or encrypted archive; torch.save stores its records as they are")
        if sum(r.file_size for r in records) > size:
            raise UserError(f"{path}: its records claim more bytes than the file has")
        if any(r.filename.endswith(".pkl") and r.file_size > PICKLE_LIMIT for r in records):
            raise UserError(f"{path}: its pickle is larger than that of any file of weights ({PICKLE_LIMIT:,} bytes)")
        if not any(r.CRC for r in records):  # torch.serialization.set_crc32_options(False)
            return
        for record in records:
            try:
                with archive.open(record) as file:
                    while file.read(1 << 20):
                        pass
            except zipfile.BadZipFile as error:
                raise UserError(f"{path}: damaged, the checksum of {record.filename} does not agree") from error


def _safetensors(path: Path) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return weights, dict(file.metadata() or {})


def _sharded(path: Path) -> dict[str, "Tensor"]:
    """All tensors of the files that an index names, which must be beside it and hold what it says, no more."""
    index = read_document(path, _Index).weight_map
    weights: dict[str, Tensor] = {}
    for shard in sorted(set(index.values())):
        if shard != Path(shard).name or shard.endswith(INDEX):
            raise UserError(f"{path}: {shard!r} is not the name of a file beside it")
        held, _ = read_weights(path.parent / shard)
        named = {name for name, file in index.items() if file == shard}
        if not isinstance(held, Mapping) or held.keys() != named:
            odd = sorted(map(str, named ^ set(held)))[:1] if isinstance(held, Mapping) else ["no state dict"]
            raise UserError(f"{path.parent / shard}: it does not hold what {path.name} says ({odd[0]})")
        weights |= held
    return weights


def shard_of(path: Path) -> str | None:
    """ "shard 1 of 2", where the name of a file says so."""
    found = SHARD.search(path.name)
    return f"shard {int(found[1])} of {int(found[2])}" if found else None


def tensors(found: Any) -> Iterator[tuple[str, "Tensor"]]:
    """Every tensor in nested mappings and sequences, by its place."""
    from torch import Tensor

    waiting = [("", found)]
    seen: set[int] = set()
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, Tensor):
            yield place, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
            waiting += [(f"{place}.{key}" if place else str(key), inner) for key, inner in pairs]


def require_dense(name: str, tensor: "Tensor") -> None:
    """Raise UserError, naming the tensor, for one that is not plain numbers in memory."""
    import torch

    if tensor.is_quantized:
        raise UserError(f"{name} is quantised ({dtype_of(tensor)}): save it with .dequantize(), as float numbers")
    if tensor.layout != torch.strided:
        raise UserError(f"{name} is sparse ({str(tensor.layout).removeprefix('torch.')}): save it with .to_dense()")
    if tensor.is_meta:
        raise UserError(f"{name} is on the device meta: it has a shape and no numbers")


def require_float(name: str, tensor: Any) -> None:
    """Raise UserError, naming the entry, for whatever is no dense tensor of floating-point numbers."""
    from torch import Tensor

    if not isinstance(tensor, Tensor):
        raise UserError(f"{name} holds a {type(tensor).__name__}, not a tensor")
    require_dense(name, tensor)
    if dtype_of(tensor) not in FLOATS:
        raise UserError(
            f"{name} holds {dtype_of(tensor)}: quantised weights need their scales, which are not read; save float ones"
        )


def dtype_of(tensor: "Tensor") -> str:
    return str(tensor.dtype).removeprefix("torch.")
