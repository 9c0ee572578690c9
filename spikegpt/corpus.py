"""A text as tokens with a fixed 90 / 5 / 5 split; the King James Bible (public domain) ships with the package.

A corpus is read from any text file (spikegpt/texts.py), from a folder that `spikegpt tokenize` prepared, whose tokens
stay on disk, from a `.npy` of token ids, or from the `.bin` and `.idx` pair of the released code.
"""

import hashlib
import json
import lzma
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from spikegpt import files
from spikegpt.arrays import read_arrays
from spikegpt.documents import read_document
from spikegpt.errors import UserError
from spikegpt.escape import unicode
from spikegpt.folders import new_folder, verified
from spikegpt.kinds import require_file
from spikegpt.temporaries import workspace
from spikegpt.texts import pieces
from spikegpt.tokenizer import Bytes, Characters, Json, Tokenizer, smallest_type, tokenizer_from_dict
from spikegpt.tokenizer_files import CHARACTERS, same

SPLITS = {"train": (0, 90), "valid": (90, 95), "test": (95, 100), "all": (0, 100)}  # per cent of the tokens
EMBEDDED, EMBEDDED_FILE = "kjv", Path(__file__).parent / "text" / "kjv.txt.xz"
ARRAY = ".npy"
KIND, TOKENS, FACTS = "tokens", "tokens.bin", "corpus.json"  # what a prepared folder holds
END_OF_TEXT = "<|endoftext|>"  # between documents, where the vocabulary has it
INDEX_MAGIC = b"MMIDIDX\x00\x00"
INDEX_TYPES = {1: "u1", 2: "i1", 3: "i2", 4: "i4", 5: "i8", 8: "u2"}  # as the released code's index numbers them
PART = 1 << 22  # tokens looked at together
BYTES = Bytes()


class _Facts(msgspec.Struct):
    """What stands beside the tokens in a prepared folder; older ones lack the digest of the tokens."""

    name: str
    sha256: str
    tokens: Annotated[int, msgspec.Meta(ge=1)]
    bytes: Annotated[int, msgspec.Meta(ge=1)]
    tokenizer: dict[str, str]


@dataclass(frozen=True)
class Corpus:
    """A named text; `tokens` (N,) unsigned, possibly mapped from a file; `n_bytes` of text, None if unknown."""

    name: str
    sha256: str
    tokens: np.ndarray
    tokenizer: Tokenizer | None = BYTES
    n_bytes: int | None = None

    def split(self, part: str) -> np.ndarray:
        """The first 90 % (train), the next 5 % (valid), the last 5 % (test), cut at whole tokens, or all."""
        if part not in SPLITS:
            raise UserError(f"split {part!r} is not one of {', '.join(SPLITS)}")
        first, end = (len(self.tokens) * share // 100 for share in SPLITS[part])
        return self.tokens[first:end]

    @property
    def bytes_per_token(self) -> float | None:
        """Mean length of a token, which turns bits per token into bits per byte."""
        return None if self.n_bytes is None else self.n_bytes / len(self.tokens)


def load_corpus(path: str | None = None, tokenizer: Tokenizer | str | None = None) -> Corpus:
    """Read a text or a prepared corpus, or the embedded text when no path is given.

    `tokenizer`: how to cut a text (default: bytes; "characters": those it holds), or what a `.bin` was cut with.
    Raises UserError when the file cannot be read, is empty, or was prepared with another tokenizer.
    """
    if path is None or path == EMBEDDED:
        raw = lzma.decompress(EMBEDDED_FILE.read_bytes())
        return from_text("King James Bible (embedded)", [raw], tokenizer)
    place = Path(path)
    if place.is_dir():
        return open_prepared(place, tokenizer)
    if place.suffix == ".bin" and place.with_suffix(".idx").exists():
        return open_indexed(place, None if isinstance(tokenizer, str) else tokenizer)
    if place.suffix == ARRAY:
        return open_array(place, None if isinstance(tokenizer, str) else tokenizer)
    return from_text(unicode(place.name), list(pieces(place)), tokenizer, path)


def from_text(name: str, parts: list[bytes], tokenizer: Tokenizer | str | None, path: str = "") -> Corpus:
    """A corpus of a text in memory, given in parts as `pieces` cuts it."""
    raw = b"".join(parts)
    if not raw:
        raise UserError(f"{path}: the text is empty; at least 2 bytes are needed")
    if isinstance(tokenizer, str):
        tokenizer = Characters.of(set(raw.decode(errors="replace")))
    tokenizer = tokenizer or Bytes()
    if not isinstance(tokenizer, Json):
        parts = [raw]  # what was joined is given back
    try:
        # The library holds far more in memory than the text: it gets parts, as in `prepare`.
        tokens = (
            np.concatenate([*map(tokenizer.encode, parts)]) if isinstance(tokenizer, Json) else tokenizer.encode(raw)
        )
    except UserError as error:
        raise UserError(f"{path or name}: {error}") from error
    return Corpus(name, hashlib.sha256(raw).hexdigest(), tokens, tokenizer, len(raw))


def prepare(
    paths: list[Path],
    tokenizer: Tokenizer | str,
    out: Path,
    progress: Callable[[int], None] = lambda done: None,
    force: bool = False,
) -> Corpus:
    """Cut texts of any size into tokens, piece by piece, and leave a folder that `load_corpus` opens without reading.

    "characters" reads the texts twice: once for the vocabulary. `progress` is told the bytes of text done.
    Raises UserError as `load_corpus` does, and as `folders.check` where `out` holds what must not be replaced.
    """
    if isinstance(tokenizer, str):
        seen: set[str] = set()
        for path in paths:
            for piece in pieces(path):
                seen.update(piece.decode(errors="replace"))
        tokenizer = Characters.of(seen) if seen else Bytes()
    digest, n_bytes, n_tokens = hashlib.sha256(), 0, 0
    with new_folder(out, KIND, force=force, reads=paths) as new:
        with (new.path / TOKENS).open("wb") as file:
            for path in paths:
                for piece in pieces(path):
                    try:
                        tokens = tokenizer.encode(piece)
                    except UserError as error:
                        raise UserError(f"{path}: after {n_bytes:,} bytes: {error}") from error
                    if ".jsonl" in path.suffixes:
                        tokens = np.concatenate([tokens, separator(tokenizer)])
                    file.write(tokens.tobytes())
                    digest.update(piece)
                    n_bytes, n_tokens = n_bytes + len(piece), n_tokens + len(tokens)
                    progress(len(piece))
        if not n_tokens:
            raise UserError(f"{', '.join(map(str, paths))}: the text is empty; at least 2 bytes are needed")
        facts = {
            "name": " + ".join(unicode(path.name) for path in paths),
            "sha256": digest.hexdigest(),
            "tokens": n_tokens,
            "bytes": n_bytes,
            "tokenizer": tokenizer.to_dict(),
        }
        (new.path / FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    return _prepared(out)[0]


def prepare_array(
    paths: list[Path], tokenizer: Tokenizer | str, out: Path, progress: Callable[[int], None] = lambda done: None
) -> Corpus:
    """Cut texts into tokens as `prepare` does, and leave their ids alone, as a `.npy` file."""
    with workspace("tokens") as place:
        corpus = prepare(paths, tokenizer, place / "cut", progress)
        files.write(out, lambda file: np.save(file, corpus.tokens), signed=True)
    return corpus


def open_array(path: Path, tokenizer: Tokenizer | None) -> Corpus:
    """The token ids in a `.npy`: whole numbers (N,) from 0. Raises UserError for anything else."""
    tokens = read_arrays(path).get("")
    if tokens is None or tokens.ndim != 1 or tokens.dtype.kind not in "iu" or not tokens.size or int(tokens.min()) < 0:
        found = "an archive" if tokens is None else f"an array of shape {tokens.shape} and {tokens.dtype}"
        raise UserError(f"{path}: {found}: token ids are whole numbers (N,) from 0")
    tokens = tokens.astype(smallest_type(int(tokens.max()) + 1))
    n_bytes = len(tokens) if isinstance(tokenizer, Bytes) else None
    return Corpus(unicode(path.name), digest_of(tokens), tokens, tokenizer, n_bytes)


def separator(tokenizer: Tokenizer) -> np.ndarray:
    """What stands behind a document: the end-of-text token if there is one, else a line end."""
    try:
        marked = tokenizer.encode(END_OF_TEXT.encode())
    except UserError:
        marked = np.empty(0)
    try:
        return marked if len(marked) == 1 else tokenizer.encode(b"\n")
    except UserError:  # a vocabulary of characters without a line end
        return np.empty(0, smallest_type(tokenizer.vocab_size))


def open_prepared(folder: Path, tokenizer: Tokenizer | str | None) -> Corpus:
    """The corpus in a folder of `prepare`; its tokens stay on disk.

    Raises UserError where the tokens are not those that were written, or were cut with another tokenizer.
    """
    if not (folder / FACTS).exists():
        raise UserError(f"{folder}: not a folder that `spikegpt tokenize` wrote: it holds no {FACTS}")
    named = verified(folder, KIND)["files"]
    if missing := [name for name in (FACTS, TOKENS) if name not in named]:
        raise UserError(f"{folder}: its manifest does not name {missing[0]}; tokenize the text again")
    corpus, own = _prepared(folder)
    other = tokenizer == CHARACTERS and not isinstance(own, Characters)
    if other or (tokenizer is not None and not isinstance(tokenizer, str) and not same(tokenizer, own)):
        raise UserError(f"{folder}: it was prepared with another tokenizer ({own.to_dict()['kind']})")
    return corpus


def _prepared(folder: Path) -> tuple[Corpus, Tokenizer]:
    """The corpus in a folder whose files are known to be those that were written, and its tokenizer."""
    facts = read_document(folder / FACTS, _Facts)
    try:
        own = tokenizer_from_dict(facts.tokenizer)
    except UserError as error:
        raise UserError(f"{folder / FACTS}: {error}") from error
    tokens = mapped(folder / TOKENS, smallest_type(own.vocab_size))
    if len(tokens) != facts.tokens:
        raise UserError(f"{folder / TOKENS}: {len(tokens):,} tokens where {FACTS} says {facts.tokens:,}")
    return Corpus(facts.name, facts.sha256, tokens, own, facts.bytes), own


def open_indexed(path: Path, tokenizer: Tokenizer | None) -> Corpus:
    """The token file of the released code (Megatron's MMapIndexedDataset), mapped; documents follow each other."""
    place = path.with_suffix(".idx")
    require_file(place)
    index = place.read_bytes()
    head = struct.Struct("<9sQBQ")
    if len(index) < head.size:
        raise UserError(f"{place}: truncated: {len(index)} bytes")
    magic, _, code, count = head.unpack_from(index)
    if magic != INDEX_MAGIC or code not in INDEX_TYPES:
        raise UserError(f"{place}: not an index of tokens (MMapIndexedDataset of whole numbers)")
    room = max(0, len(index) - head.size - 8) // 4
    sizes = np.frombuffer(index, "<i4", min(count, room), head.size + 8) if room else np.empty(0, "<i4")
    tokens = mapped(path, np.dtype("<" + INDEX_TYPES[code]))
    total = int(sizes.sum(dtype=np.int64))
    if len(sizes) != count or total != len(tokens) or (sizes < 0).any():
        raise UserError(f"{path}: {len(tokens):,} tokens, but its index counts {total:,}")
    if int(tokens.min()) < 0:
        raise UserError(f"{path}: it holds the token {int(tokens.min())}; tokens count from 0")
    return Corpus(unicode(path.name), digest_of(tokens), tokens, tokenizer, None)


def mapped(path: Path, kind: np.dtype) -> np.ndarray:
    """The numbers in a file, which stay there. Raises UserError for an empty file or a part of a number."""
    require_file(path)
    size = path.stat().st_size
    if not size or size % kind.itemsize:
        raise UserError(f"{path}: {size:,} bytes are no tokens of {kind.itemsize} bytes each: it was cut short")
    return np.memmap(path, kind, "r")


def digest_of(tokens: np.ndarray) -> str:
    """sha256 over the bytes of tokens, read in parts."""
    digest = hashlib.sha256()
    for low in range(0, len(tokens), PART):
        digest.update(tokens[low : low + PART].tobytes())
    return digest.hexdigest()
