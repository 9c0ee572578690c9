"""Tokenizers, which travel in the checkpoint: bytes, Unicode characters, and JSON files of the `tokenizers` library."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from spikegpt.errors import UserError


class Tokenizer(Protocol):
    """Text to numbers and back; `decode(encode(text)) == text` for bytes and characters."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest token."""

    def encode(self, text: bytes) -> np.ndarray:
        """UTF-8 text (raw bytes for Bytes) -> tokens (N,) of the smallest unsigned type that holds the vocabulary."""

    def decode(self, tokens: np.ndarray) -> bytes:
        """Tokens (N,) -> UTF-8 text (raw bytes for Bytes)."""

    def to_dict(self) -> dict[str, str]:
        """What `tokenizer_from_dict` builds it from again."""


def smallest_type(vocab_size: int) -> np.dtype:
    """uint8, uint16 or uint32, whichever just holds tokens below `vocab_size`."""
    return np.min_scalar_type(max(1, vocab_size - 1))


@dataclass(frozen=True)
class Bytes:
    """A byte a token."""

    vocab_size: int = 256

    def encode(self, text: bytes) -> np.ndarray:
        return np.frombuffer(text, np.uint8)

    def decode(self, tokens: np.ndarray) -> bytes:
        return np.asarray(tokens, np.uint8).tobytes()

    def to_dict(self) -> dict[str, str]:
        return {"kind": "bytes"}


@dataclass(frozen=True)
class Characters:
    """A Unicode character a token; `vocabulary` lists them in the order of their numbers."""

    vocabulary: str

    @classmethod
    def of(cls, characters: set[str]) -> "Characters":
        """The vocabulary of a text, sorted by code point as the released code does."""
        return cls("".join(sorted(characters)))

    @property
    def vocab_size(self) -> int:
        return len(self.vocabulary)

    @cached_property
    def _points(self) -> np.ndarray:
        return np.frombuffer(self.vocabulary.encode("utf-32-le"), np.uint32)

    @cached_property
    def _numbers(self) -> np.ndarray:
        table = np.full(int(self._points.max()) + 2, -1, np.int64)  # the last entry stands for everything beyond
        table[self._points] = np.arange(self.vocab_size)
        return table

    def encode(self, text: bytes) -> np.ndarray:
        """Raises UserError for bytes that are not UTF-8 and for characters outside the vocabulary."""
        points = np.frombuffer(decode_utf8(text).encode("utf-32-le"), np.uint32)
        tokens = self._numbers[np.minimum(points, len(self._numbers) - 1)]
        if len(tokens) and tokens.min() < 0:
            at = int(np.argmax(tokens < 0))
            raise UserError(
                f"character {chr(int(points[at]))!r} (U+{int(points[at]):04X}, at {at:,}) is not among the "
                f"{self.vocab_size:,} of the vocabulary"
            )
        return tokens.astype(smallest_type(self.vocab_size))

    def decode(self, tokens: np.ndarray) -> bytes:
        return self._points[np.asarray(tokens, np.int64)].tobytes().decode("utf-32-le").encode()

    def to_dict(self) -> dict[str, str]:
        return {"kind": "characters", "vocabulary": self.vocabulary}


@dataclass(frozen=True)
class Json:
    """A tokenizer of https://huggingface.co/docs/tokenizers, by the text of its JSON file."""

    text: str

    @cached_property
    def _tokenizer(self):
        from tokenizers import Tokenizer as Library

        try:
            return Library.from_str(self.text)
        except Exception as error:  # the library raises bare Exception
            raise UserError(f"not a tokenizer that the `tokenizers` library reads: {error}") from error

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: bytes) -> np.ndarray:
        ids = self._tokenizer.encode(decode_utf8(text), add_special_tokens=False).ids
        return np.array(ids, smallest_type(self.vocab_size))

    def decode(self, tokens: np.ndarray) -> bytes:
        return self._tokenizer.decode(np.asarray(tokens).tolist(), skip_special_tokens=False).encode()

    def to_dict(self) -> dict[str, str]:
        return {"kind": "json", "text": self.text}


def decode_utf8(text: bytes) -> str:
    """The text as characters; raises UserError naming the first byte that is not UTF-8."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start:,} is not UTF-8: only the byte tokenizer takes such a text") from error


def tokenizer_from_dict(values: dict[str, str]) -> Tokenizer:
    """Build a tokenizer from what `to_dict` gave. Raises UserError for an unknown kind."""
    kind = values.get("kind")
    if kind == "bytes":
        return Bytes()
    if kind == "characters":
        return Characters(values["vocabulary"])
    if kind == "json":
        return Json(values["text"])
    raise UserError(f"tokenizer kind {kind!r} is not one of bytes, characters, json")


def read_tokenizer(path: str | Path) -> Tokenizer:
    """A JSON file of the `tokenizers` library, or the released code's {"0": "a", ..} (UTF-16) of characters.

    Raises UserError when the file is neither.
    """
    try:
        raw = Path(path).read_bytes()
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
        values = json.loads(text)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a tokenizer's JSON: {error}") from error
    if isinstance(values, dict) and "model" in values:
        return Json(text)
    try:
        return Characters("".join(values[str(i)] for i in range(len(values))))
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path}: neither a `tokenizers` file nor a vocabulary of characters numbered from 0"
        ) from error


def default_tokenizer(vocab_size: int) -> Tokenizer | None:
    """256 entries are bytes; any other vocabulary is unknown until somebody names its tokenizer."""
    return Bytes() if vocab_size == Bytes().vocab_size else None
