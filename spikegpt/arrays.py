"""Arrays that strangers stored, as numpy writes them (.npy, .npz): no pickles, and no more memory than is there.

Headers are compared with the bytes behind them before memory is asked for. Needs numpy alone.
"""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from spikegpt.errors import UserError
from spikegpt.files import content_size
from spikegpt.kinds import NPY, ZIP, first_bytes, kind_of

UNPACKED, UNPACKED_PER_BYTE = 256 << 20, 100  # bytes that an archive may unpack to: rasters of few spikes pack well
HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` by name, or that of an `.npy` under the name "". Raises UserError for anything else."""
    path = Path(path)
    kind = kind_of(first_bytes(path))
    try:
        if kind == NPY:
            with path.open("rb") as file:
                return {"": _array(file, content_size(path))}
        if kind == ZIP:
            return _archive(path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # zipfile, zlib and numpy (which evaluates headers) raise whatever damage leads to
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: not a .npy or .npz of plain arrays (damaged?): {reason}") from error
    raise UserError(f"{path}: not a .npy or .npz of arrays" + (f" but a {kind}" if kind else ""))


def _archive(path: Path) -> dict[str, np.ndarray]:
    left = UNPACKED + UNPACKED_PER_BYTE * path.stat().st_size
    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name == entry.filename or name in found:
                raise UserError(f"entry {entry.filename!r} is no array, or there twice")
            left -= entry.file_size
            if left < 0:
                raise UserError(f"entry {entry.filename!r} unpacks to far more than the file holds")
            with archive.open(entry) as file:
                found[name] = _array(file, entry.file_size)
                if file.read(1):  # the end of an entry is where its checksum is compared
                    raise UserError("bytes behind an array")
    return found


def _array(file: Any, size: int) -> np.ndarray:
    """One array of `size` bytes with its header. Raises UserError where the header promises another size."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise UserError(f"version {version} of the array format is not read")
    shape, fortran, dtype = HEADERS[version](file)
    if dtype.hasobject or dtype.names or dtype.subdtype or dtype.kind not in "biufcUS" or not dtype.itemsize:
        raise UserError(f"an array of {dtype}: plain numbers or texts are read")
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != size - file.tell():
        raise UserError(f"an array of shape {shape} and {dtype} does not take {size - file.tell():,} bytes: cut short?")
    values: np.ndarray = np.empty(shape, dtype, "F" if fortran else "C")
    memory = memoryview(values.reshape(-1, order="F" if fortran else "C").view(np.uint8).data)
    at = 0
    while at < len(memory):
        read = file.readinto(memory[at : at + (1 << 20)])
        if not read:
            raise EOFError("cut short")
        at += read
    return values
