"""Tokenizers that a user names: read from files, and compared with the one that a model carries."""

import warnings
from pathlib import Path
from typing import Any

from spikegpt.documents import LIMIT, parse_document
from spikegpt.errors import Notice, UserError
from spikegpt.kinds import require_file
from spikegpt.tokenizer import Bytes, Characters, Json, Tokenizer

BYTES, CHARACTERS = "bytes", "characters"  # what may be named instead of a file


def read_tokenizer(path: str | Path) -> Tokenizer:
    """A JSON file of the `tokenizers` library, or the released code's {"0": "a", ..} (UTF-16) of characters.

    Raises UserError when the file is neither.
    """
    path = Path(path)
    require_file(path)
    try:
        with path.open("rb") as file:
            raw = file.read(LIMIT + 1)
        if len(raw) > LIMIT:
            raise UserError(f"{path}: more than {LIMIT:,} bytes, no tokenizer is that long")
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        values: dict[str, Any] = parse_document(text.encode(), str(path), dict[str, Any])
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a tokenizer's JSON: {error}") from error
    try:
        if "model" in values:
            tokenizer = Json(text)
            _ = tokenizer.vocab_size  # now, not in the middle of a text
            return tokenizer
        characters = [values.get(str(i)) for i in range(len(values))]
        if not characters or not all(isinstance(c, str) and len(c) == 1 for c in characters):
            raise UserError("neither a `tokenizers` file nor a vocabulary of characters numbered from 0")
        return Characters("".join(characters))  # type: ignore[arg-type]
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def agreed(own: Tokenizer | None, named: str | Path | None, vocab_size: int) -> Tokenizer | None:
    """The tokenizer of a model of `vocab_size` tokens: its `own`, which the one `named` (bytes or a file) must equal.

    None where nobody says. Raises UserError for one that is not the model's, or has more tokens than it.
    """
    if named is None:
        return own
    if named == CHARACTERS:
        raise UserError(
            "--tokenizer characters makes a vocabulary of a text, for `tokenize` and `train`; a model needs the one it "
            "learned with: name its JSON file"
        )
    tokenizer = Bytes() if named == BYTES else read_tokenizer(named)
    if own is not None:
        if not same(own, tokenizer):
            raise UserError(
                f"--tokenizer {named}: another than the model carries ({own.to_dict()['kind']}, {own.vocab_size:,} "
                f"tokens) and learned with; leave the option away"
            )
        return own
    if tokenizer.vocab_size > vocab_size:
        raise UserError(f"{named}: its {tokenizer.vocab_size:,} tokens are more than the model's {vocab_size:,}")
    if tokenizer.vocab_size < vocab_size:
        warnings.warn(
            f"{named}: its {tokenizer.vocab_size:,} tokens are fewer than the model's {vocab_size:,}: is it the one "
            f"that the model learned with?",
            Notice,
            stacklevel=2,
        )
    return tokenizer


def same(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether two tokenizers cut a text alike, as far as their descriptions tell."""
    return _meaning(one) == _meaning(other)


def _meaning(tokenizer: Tokenizer) -> Any:
    if not isinstance(tokenizer, Json):
        return tokenizer
    values: dict[str, Any] = parse_document(tokenizer.text.encode(), "tokenizer", dict[str, Any])
    return {key: value for key, value in values.items() if key not in ("truncation", "padding")}
