"""Forged containers: zip and HDF5 files whose parts are swapped, hostile or absurd, with every checksum right again."""

import io
import lzma
import pickle
import struct
import warnings
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zstandard

from tests.campaign.damage import DAMAGE, Rng

BOMB = 3 << 29  # bytes that a few kilobytes unpack to
RUN_BY_PICKLE = "run-by-pickle"  # the file that hostile pickles make
NAMES = ("../../escaped", "/tmp/escaped", "a\x1b[2Jb", "[red]x", "data.pkl", "x.npy", "a" * 5000)
OUTSIDE = "/etc/hostname"


class Hostile:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path(RUN_BY_PICKLE),)


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, allow_pickle=True)
    return out.getvalue()


def other_array(data: bytes, rng: Rng) -> bytes:
    """An .npy of other values, another shape or another kind than this one, or with a header that lies."""
    try:
        array = np.load(io.BytesIO(data))
    except ValueError:
        return data
    change = rng.integers(12)
    if change == 0:
        return npy(np.array([Hostile()], object))
    if change == 1:
        header = {
            "descr": str(rng.choice(["<f8", "|O", "<U99999999", "|V1000"])),
            "fortran_order": False,
            "shape": (1 << 40,),
        }
        out = io.BytesIO()
        np.lib.format.write_array_header_2_0(out, header)
        return out.getvalue() + data[-100:]
    if change == 2:
        return b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 60000
    if change == 3:
        return npy(
            array.astype(str(rng.choice(["f2", "f8", "c16", "i1", "u8", "U8", "?", ">f4", ">i8"])))
            if array.dtype.kind in "fiub"
            else array.reshape(-1)[:0]
        )
    if change == 4:
        return npy(array.reshape(-1, 1) if rng.integers(2) else array.reshape(1, -1))
    if change == 5:
        return npy(array[:0] if array.ndim else array.reshape(1))
    if change == 6 and array.dtype.kind == "f":
        return npy(np.full_like(array, rng.choice([np.nan, np.inf, 1e38, -1e38, 1e-45])))
    if change in (6, 7, 8) and array.dtype.kind in "iu" and array.size:
        flat = np.array(array).ravel()
        info = np.iinfo(array.dtype)
        flat[rng.integers(flat.size)] = rng.choice([info.min, info.max, 0, max(info.min, -1), 99])
        return npy(flat.reshape(array.shape))
    if change == 9:
        return npy(np.zeros((), array.dtype))
    return npy(np.concatenate([array, array]) if array.ndim else array.reshape(1, 1))


@cache
def zip_bomb() -> bytes:
    """An archive of one member that unpacks to BOMB zeros; its deflated parts are all the same."""
    part, pack = bytes(1 << 24), zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = [pack.compress(part) + pack.flush(zlib.Z_FULL_FLUSH) for _ in range(2)]
    held, crc = packed[0] + packed[1] * ((BOMB >> 24) - 1) + pack.flush(), 0
    for _ in range(BOMB >> 24):
        crc = zlib.crc32(part, crc)
    facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, crc, len(held), BOMB, 4, 0)
    local = b"PK\3\4" + facts + b"bomb" + held
    central = b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"bomb"
    return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


def forge_zip(data: bytes, rng: Rng) -> bytes:
    """An archive with its members changed, and their sums right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(i.filename, archive.read(i), i.compress_type) for i in archive.infolist()]
    k, change = int(rng.integers(len(members))), rng.integers(12)
    name, held, kind = members[k]
    if change == 0:
        del members[k]
    elif change == 1:
        members[k] = (NAMES[rng.integers(len(NAMES))], held, kind)
    elif change == 2:
        members.append((name, members[rng.integers(len(members))][1], kind))
    elif change == 3:
        members[k] = (name, members[rng.integers(len(members))][1], kind)
    elif change == 4:
        members[k] = (name, b"", kind)
    elif change == 5:
        members += [(f"more{i}", b"", kind) for i in range(2000)]
    elif change == 6 and any(n.endswith(".pkl") for n, _, _ in members):
        members = [
            (
                n,
                pickle.dumps({"format": "spikegpt-checkpoint-1", "model": Hostile()}, 2) if n.endswith(".pkl") else h,
                c,
            )
            for n, h, c in members
        ]
    elif name.endswith(".npy"):
        members[k] = (name, other_array(held, rng), kind)
    else:
        members[k] = (name, DAMAGE[rng.integers(len(DAMAGE))](held, rng) if held else b"x", kind)
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for n, h, c in members:
            archive.writestr(zipfile.ZipInfo(n), h, c)
    found = out.getvalue()
    if rng.integers(20) == 0:  # encrypted, or of a method that nobody knows: both are said in local and central heads
        at, value = (6, b"\x01\x00") if rng.integers(2) else (8, bytes([int(rng.choice([1, 9, 12, 93, 97])), 0]))
        central = found.rfind(b"PK\x01\x02")
        found = found[:at] + value + found[at + 2 :]
        found = found[: central + at + 2] + value + found[central + at + 4 :]
    return found


def forge_text_zip(data: bytes, rng: Rng) -> bytes:
    return zip_bomb() if rng.integers(30) == 0 else forge_zip(data, rng)


@cache
def xz_bomb() -> bytes:
    return lzma.compress(bytes(1 << 25), preset=0) * (BOMB >> 25)


def forge_xz(data: bytes, rng: Rng) -> bytes:
    """Another text, well packed; or very much of nothing."""
    if rng.integers(30) == 0:
        return xz_bomb()
    return lzma.compress(DAMAGE[rng.integers(len(DAMAGE))](lzma.decompress(data), rng))


def zst_bomb(text: bytes) -> bytes:
    """A frame that begins with `text` and goes on with BOMB zeros, in blocks of one byte repeated (RFC 8878)."""
    size = 1 << 17
    start = (len(text) << 3).to_bytes(3, "little") + text
    zeros = (size << 3 | 2).to_bytes(3, "little") + b"\0"
    last = (size << 3 | 3).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x70" + start + zeros * (BOMB // size) + last


def forge_zst(data: bytes, rng: Rng) -> bytes:
    """Another text, well packed; or very much of nothing, also within one line of JSON."""
    if rng.integers(30) == 0:
        return zst_bomb(b'{"text": "' if rng.integers(2) else b"")
    text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    wide = zstandard.ZstdCompressionParameters(window_log=27 if rng.integers(10) else 31, write_checksum=True)
    return zstandard.ZstdCompressor(compression_params=wide).compress(DAMAGE[rng.integers(len(DAMAGE))](text, rng))


def forge_hdf5(data: bytes, rng: Rng) -> bytes:
    """A file with one of its values changed, huge, elsewhere, or a link."""
    out = io.BytesIO(data)
    with h5py.File(out, "r+") as file:
        known: list[str] = []
        file.visit(known.append)
        forge_group(file, known[rng.integers(len(known))], rng)
    return out.getvalue()


def forge_group(file: h5py.File, key: str, rng: Rng) -> None:
    """Change what stands under `key`."""
    item = file[key]
    value: Any = item[()] if isinstance(item, h5py.Dataset) else None
    numbers = isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in "fiu"
    change = int(rng.integers(14))
    if change == 0:
        del file[key]
        return
    if change == 1:
        other: list[str] = []
        file.visit(other.append)
        file.copy(other[rng.integers(len(other))], f"{key}_{NAMES[rng.integers(len(NAMES))].replace('/', '_')[:99]}")
        return
    if not numbers:
        del file[key]
        file[key] = [b"Conv3d", b"\x1b[2J", "\ud7ff" * 1000, 3, np.zeros(3), b"LIF", b"Linear", b"Input", b"NIRGraph"][
            rng.integers(9)
        ]
        return
    array = np.asarray(value)
    del file[key]
    if change == 2:
        file[key] = h5py.ExternalLink(OUTSIDE, "/")
    elif change == 3:
        file[key] = h5py.SoftLink(str(rng.choice(["/", "/nowhere", f"/{key}"])))
    elif change == 4:
        file.create_dataset(key, (16,), np.uint8, external=[(str(rng.choice([OUTSIDE, "fifo", "/dev/zero"])), 0, 16)])
    elif change == 5:
        layout = h5py.VirtualLayout((16,), np.float32)
        layout[:] = h5py.VirtualSource(str(rng.choice([OUTSIDE, "."])), key, (16,))
        file.create_virtual_dataset(key, layout)
    elif change == 6:
        file.create_dataset(key, (1 << 20, 1 << 20), np.float32, chunks=(64, 64))
    elif change == 7:
        file.create_dataset(key, (1 << 14, 1 << 14), np.float32, compression="gzip", chunks=(1 << 10, 1 << 14))
    elif change == 8:
        file[key] = np.full(array.shape, rng.choice([np.nan, np.inf, 0, -1, 1e30, 1e-30]))
    elif change == 9:
        file[key] = array.astype(str(rng.choice(["f2", "f8", "i1", "u8", ">f4", "c8"])))
    elif change == 10:
        file[key] = array.reshape(-1)[: max(0, array.size - 1)]
    elif change == 11:
        file[key] = array.T if array.ndim > 1 else array.reshape(1, -1)
    elif change == 12:
        file[key] = np.zeros((0,), array.dtype)
    else:
        file[key] = np.array([1 << 60, -5]) if rng.integers(2) else array * -3
