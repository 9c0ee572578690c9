"""What is named as --data or --tokenizer: a text in any packing, or one line that says what it is and what to do."""

import bz2
import gzip
import io
import json
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from functools import partial

import h5py
import numpy as np
import pytest
import torch
import zstandard

import spikegpt
from spikegpt import UserError
from spikegpt.corpus import FACTS, TOKENS, load_corpus, prepare
from spikegpt.tokenizer import Bytes
from spikegpt.tokenizer_files import read_tokenizer

TEXT = ("Grüße, κόσμε! the quick brown fox\n" * 300).encode()


def zipped(name: str = "text", content: bytes = TEXT, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        archive.writestr(name, content)
    return raw.getvalue()


def tarred() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        entry = tarfile.TarInfo("a.txt")
        entry.size = len(TEXT)
        archive.addfile(entry, io.BytesIO(TEXT))
    return raw.getvalue()


def saved(save, *arguments, **more) -> bytes:
    raw = io.BytesIO()
    save(raw, *arguments, **more)
    return raw.getvalue()


def hdf5() -> bytes:
    raw = io.BytesIO()
    with h5py.File(raw, "w") as file:
        file["x"] = np.arange(5)
    return raw.getvalue()


PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("kind", [*PACKED, "zip"])
@pytest.mark.parametrize("suffix", [True, False])
def test_packed_texts_are_read_whatever_their_name(kind, suffix, tmp_path):
    path = tmp_path / ("t.txt." + kind if suffix else "text")
    path.write_bytes(zipped() if kind == "zip" else PACKED[kind](TEXT))
    assert load_corpus(str(path)).tokens.tobytes() == TEXT
    assert prepare([path], Bytes(), tmp_path / "out").tokens.tobytes() == TEXT


@pytest.mark.parametrize("kind", [*PACKED, "zip"])
@pytest.mark.parametrize("share", [0, 1, 50, 90, 99])
def test_packed_texts_cut_short_are_refused(kind, share, tmp_path):
    noise = np.random.default_rng(0).integers(97, 123, 50_000).astype(np.uint8).tobytes()
    whole = zipped(content=noise) if kind == "zip" else PACKED[kind](noise)
    (tmp_path / f"t.{kind}").write_bytes(whole[: len(whole) * share // 100])
    with pytest.raises(UserError, match=rf"t\.{kind}"):
        load_corpus(str(tmp_path / f"t.{kind}"))


TOKEN_FILE = (np.arange(4000) % 65).astype("<u2").tobytes()
NO_TEXT = {
    "7z": (b"7z\xbc\xaf\x27\x1c" + TEXT, "7-Zip"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + TEXT, "RAR"),
    "lz4": (b"\x04\x22\x4d\x18" + TEXT, "LZ4"),
    "tar": (tarred(), "tar archive"),
    "tar.gz": (gzip.compress(tarred()), "tar archive"),
    "npy": (saved(np.save, np.arange(500)), "numpy array"),
    "npz": (saved(np.savez, a=np.arange(500)), "numpy array"),
    "npz of two": (saved(np.savez, a=np.arange(5), b=np.arange(5)), "zip of 2 files"),
    "pt": (saved(lambda f, x: torch.save(x, f), {"a": torch.ones(9)}), "zip of"),
    "old pt": (saved(lambda f, x: torch.save(x, f, _use_new_zipfile_serialization=False), {"a": 1}), "pickle|NUL"),
    "safetensors": (struct.pack("<Q", 40) + b'{"a":{"dtype":"F32"}}' + b" " * 19 + TEXT, "safetensors"),
    "HDF5": (hdf5(), "HDF5"),
    "sqlite": (b"SQLite format 3\x00" + TEXT, "SQLite"),
    "pdf": (b"%PDF-1.7\n" + TEXT, "PDF"),
    "png": (b"\x89PNG\r\n\x1a\n" + TEXT, "PNG"),
    "ELF": (b"\x7fELF" + TEXT, "ELF"),
    "parquet": (b"PAR1" + TEXT, "Parquet"),
    "arrow": (b"ARROW1\x00\x00" + TEXT, "Arrow"),
    "floats": (np.random.default_rng(0).normal(size=5000).astype("f4").tobytes(), "NUL|text"),
    "tokens": (TOKEN_FILE, "NUL"),
    "UTF-16": ("hello\n".encode("utf-16") * 50, "UTF-16"),
    "packed tokens": (gzip.compress(TOKEN_FILE), "NUL"),
    "packed twice": (gzip.compress(gzip.compress(TEXT)), "packed twice"),
}


@pytest.mark.parametrize("kind", NO_TEXT)
def test_what_is_no_text_is_refused_by_kind(kind, tmp_path, run):
    content, said = NO_TEXT[kind]
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        load_corpus(str(path))
    code, out, err = run("tokenize", path, "--out", tmp_path / "out")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert not (tmp_path / "out").exists()


def test_a_bin_without_its_index_is_refused(tmp_path):
    (tmp_path / "train.bin").write_bytes(b"\x01" * 400)
    with pytest.raises(UserError, match=r"tokens without their index"):
        load_corpus(str(tmp_path / "train.bin"))


def test_encrypted_and_unknown_zips_are_refused(tmp_path):
    for name, offsets, value in (("locked.zip", (6, 8), 1), ("method.zip", (8, 10), 97)):
        data = bytearray(zipped())
        data[offsets[0]] |= value
        data[data.index(b"PK\x01\x02") + offsets[1]] |= value
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=name):
            load_corpus(str(tmp_path / name))


@pytest.mark.parametrize("place", ["fifo", "folder", "/dev/zero", "missing", "empty"])
def test_what_is_no_file_is_refused_at_once(place, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    path = place if place.startswith("/") else str(tmp_path / place)
    for read in (load_corpus, read_tokenizer, spikegpt.load):
        with pytest.raises(UserError, match=place):
            read(path)


BOMB = """
import resource, sys
from spikegpt.corpus import load_corpus
from spikegpt.errors import UserError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_corpus(sys.argv[1], "characters")
except UserError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, error)
"""


@pytest.mark.parametrize("kind", ["zst", "xz", "jsonl.zst", "gz", "zip"])
def test_bombs_are_stopped_in_bounded_memory(kind, tmp_path):
    block, blocks = b"a" * (1 << 20), 1500
    path = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("t", "w") as file,
        ):
            for _ in range(blocks):
                file.write(block)
    else:
        head = b'{"text": "' if kind == "jsonl.zst" else b""
        opener = {"xz": partial(lzma.open, preset=0), "gz": partial(gzip.open, compresslevel=1)}.get(
            kind, zstandard.open
        )
        with opener(path, "wb") as file:
            file.write(head)
            for _ in range(blocks if kind != "xz" else 600):
                file.write(block)
    done = subprocess.run([sys.executable, "-c", BOMB, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    resident, _, said = done.stdout.partition(" ")
    assert "unpacks to more than" in said
    assert int(resident) < 1 << 30


@pytest.mark.parametrize("line", [b"{", b"[" * 90_000, b'{"text": 3}', b'{"text": "\\ud800"}', b"\xff", b"null", b"[]"])
def test_a_line_that_is_no_document_is_named(line, tmp_path):
    (tmp_path / "d.jsonl").write_bytes(b'{"text": "fine", "meta": {"a": [1]}}\n' + line + b"\n")
    with pytest.raises(UserError, match="line 2"):
        load_corpus(str(tmp_path / "d.jsonl"))


def prepared(folder):
    (folder / "t.txt").write_bytes(TEXT)
    prepare([folder / "t.txt"], "characters", folder / "c")
    return folder / "c"


def test_a_flipped_bit_in_prepared_tokens_is_refused(tmp_path):
    folder = prepared(tmp_path)
    good = (folder / TOKENS).read_bytes()
    for at in (0, len(good) // 2, len(good) - 1):
        (folder / TOKENS).write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(UserError, match=r"damaged|changed since"):
            load_corpus(str(folder))
    for wrong in (b"", good[:-1], good + b"\x00"):
        (folder / TOKENS).write_bytes(wrong)
        with pytest.raises(UserError, match=TOKENS):
            load_corpus(str(folder))


@pytest.mark.parametrize("change", [
    {"tokens": -1}, {"tokens": "9"}, {"bytes": 0}, {"tokenizer": None}, {"tokenizer": {"kind": "x"}}, {"name": 3},
    {"tokenizer": {"kind": "characters"}}, {"tokenizer": {"kind": "characters", "vocabulary": ""}}, {"sha256": [[]]},
    {"tokenizer": {"kind": "characters", "vocabulary": "aa"}}, {"tokenizer": {"kind": "json", "text": "{}"}},
])  # fmt: skip
def test_damaged_facts_of_a_prepared_folder_are_one_line(change, tmp_path):
    folder = prepared(tmp_path)
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps({**facts, **change}))
    with pytest.raises(UserError, match=r"^[^\n]+$"):
        load_corpus(str(folder))
