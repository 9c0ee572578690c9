"""Tokenizers, which travel in the checkpoint: bytes, Unicode characters, and JSON files of the `tokenizers` library.

Needs numpy alone (and `tokenizers` for JSON files): an export carries this file to a Loihi host.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from spikegpt.errors import Notice, UserError

PART = 1 << 20  # characters turned into tokens at a time, to bound memory


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
        return known(tokens, self.vocab_size).astype(np.uint8).tobytes()

    def to_dict(self) -> dict[str, str]:
        return {"kind": "bytes"}


@dataclass(frozen=True)
class Characters:
    """A Unicode character a token; `vocabulary` lists them in the order of their numbers.

    Raises UserError for a vocabulary that is empty, names a character twice, or holds half of one (a surrogate).
    """

    vocabulary: str

    def __post_init__(self) -> None:
        if not self.vocabulary or len(set(self.vocabulary)) != len(self.vocabulary):
            raise UserError("a vocabulary needs at least one character, and none of them twice")
        if any(0xD800 <= ord(c) < 0xE000 for c in self.vocabulary):
            raise UserError("a vocabulary holds a surrogate, which is half a character")

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
        characters, found = decode_utf8(text), []
        for low in range(0, len(characters), PART):
            points = np.frombuffer(characters[low : low + PART].encode("utf-32-le"), np.uint32)
            tokens = self._numbers[np.minimum(points, len(self._numbers) - 1)]
            if tokens.min() < 0:
                at = int(np.argmax(tokens < 0))
                raise UserError(
                    f"character {chr(int(points[at]))!r} (U+{int(points[at]):04X}, at {low + at:,}) is not among the "
                    f"{self.vocab_size:,} of the vocabulary"
                )
            found.append(tokens.astype(smallest_type(self.vocab_size)))
        return np.concatenate(found) if found else np.empty(0, smallest_type(self.vocab_size))

    def decode(self, tokens: np.ndarray) -> bytes:
        return self._points[known(tokens, self.vocab_size)].tobytes().decode("utf-32-le").encode()

    def to_dict(self) -> dict[str, str]:
        return {"kind": "characters", "vocabulary": self.vocabulary}


@dataclass(frozen=True)
class Json:
    """A tokenizer of https://huggingface.co/docs/tokenizers, by the text of its JSON file."""

    text: str

    @cached_property
    def _tokenizer(self) -> Any:
        """The library's object, with truncation and padding off: a text is never cut or filled up."""
        try:
            from tokenizers import Tokenizer as Library
        except ImportError as error:  # on a host that runs an export
            raise UserError("this model's tokenizer needs a package: pip install tokenizers") from error
        found = _guarded("not a tokenizer that the `tokenizers` library reads", lambda: Library.from_str(self.text))
        cut = [word for word, is_on in (("truncation", found.truncation), ("padding", found.padding)) if is_on]
        if cut:
            warnings.warn(f"the tokenizer's {' and '.join(cut)} is switched off: all of the text is read", Notice, 2)
            found.no_truncation()
            found.no_padding()
        return found

    @cached_property
    def vocab_size(self) -> int:  # type: ignore[override]  # cached
        numbers = self._tokenizer.get_vocab(with_added_tokens=True).values()
        if not numbers:
            raise UserError("a tokenizer without tokens")
        return 1 + max(numbers)

    def encode(self, text: bytes) -> np.ndarray:
        """Raises UserError for bytes that are not UTF-8, and where the library gives up, as without a token [UNK]."""
        characters = decode_utf8(text)
        found = _guarded(
            "the tokenizer cannot encode the text",
            lambda: self._tokenizer.encode(characters, add_special_tokens=False).ids,
        )
        return np.array(found, smallest_type(self.vocab_size))

    def decode(self, tokens: np.ndarray) -> bytes:
        numbers = known(tokens, self.vocab_size).tolist()
        text = _guarded(
            "the tokenizer cannot decode its tokens",
            lambda: self._tokenizer.decode(numbers, skip_special_tokens=False),
        )
        return text.encode()

    def to_dict(self) -> dict[str, str]:
        return {"kind": "json", "text": self.text}


def _guarded(what: str, call: Callable[[], Any]) -> Any:
    """The library's answer; raises UserError with what it says when it fails, and when its Rust side panics."""
    try:
        return call()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # it raises bare Exception, or PanicException, which is none
        raise UserError(f"{what}: {' '.join(str(error).split())[:200]}") from error


def known(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """Tokens as int64. Raises UserError on one that the vocabulary does not hold."""
    numbers = np.asarray(tokens, np.int64)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < vocab_size:
        bad = numbers[(numbers < 0) | (numbers >= vocab_size)][0]
        raise UserError(f"token {bad} is not among the {vocab_size:,} of the tokenizer")
    return numbers


def decode_utf8(text: bytes) -> str:
    """The text as characters; raises UserError naming the first byte that is not UTF-8."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start:,} is not UTF-8: only the byte tokenizer takes such a text") from error


def tokenizer_from_dict(values: dict[str, str]) -> Tokenizer:
    """Build a tokenizer from what `to_dict` gave. Raises UserError for anything else."""
    kind, needs = values.get("kind"), {"bytes": (), "characters": ("vocabulary",), "json": ("text",)}
    if kind not in needs:
        raise UserError(f"tokenizer kind {kind!r} is not one of bytes, characters, json")
    given = [values.get(field) for field in needs[kind]]
    if not all(isinstance(value, str) for value in given):
        raise UserError(f"a tokenizer of kind {kind} needs {needs[kind][0]}, a text")
    return {"bytes": Bytes, "characters": Characters, "json": Json}[kind](*given)  # type: ignore[arg-type]


def default_tokenizer(vocab_size: int) -> Tokenizer | None:
    """256 entries are bytes; any other vocabulary is unknown until somebody names its tokenizer."""
    return Bytes() if vocab_size == Bytes().vocab_size else None
