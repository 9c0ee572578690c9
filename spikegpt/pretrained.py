"""Folders as Hugging Face's `save_pretrained` writes them: what `config.json` says of the weights beside it.

Read without transformers; `huggingface.py` writes them. The configuration is that of a checkpoint, field for field,
with the provenance and the tokenizer as our own record holds them.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from spikegpt.config import Config
from spikegpt.documents import read_document
from spikegpt.errors import UserError
from spikegpt.tokenizer import tokenizer_from_dict
from spikegpt.weights import FIRST

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "config.json"
MODEL_TYPE = "spikegpt"
PREFIX = "model."  # of every weight: the attribute of the wrapper that holds our model
NEEDED = ("vocab_size", "n_layer", "n_embd", "variant")  # without them a file says too little to be of ours


class Texts(msgspec.Struct):
    """What config.json holds beside the fields of Config."""

    provenance: dict[str, bool | int | float | str | None] = {}
    tokenizer: dict[str, str] | None = None


def read_pretrained(path: Path, weights: Any) -> dict | None:
    """The record of weights in a file of `save_pretrained`, by the `config.json` beside it; None where it is another's.

    Raises UserError, naming the file, for a `config.json` that is damaged or tells too little.
    """
    told = path.parent / CONFIG
    if path.name not in FIRST[1:] or not told.exists():  # a run's model.pt holds all there is to know
        return None
    values = read_document(told, dict[str, Any])
    if values.get("model_type") != MODEL_TYPE:
        return None
    lacking = [name for name in NEEDED if name not in values]
    if lacking:
        raise UserError(f"{told}: damaged, {lacking[0]} is missing")
    try:
        config = Config.from_dict({f.name: values[f.name] for f in fields(Config) if f.name in values})
        texts = texts_of(values)
    except UserError as error:
        raise UserError(f"{told}: {error}") from error
    return {"config": config.to_dict(), "model": _stripped(weights), **msgspec.structs.asdict(texts)}


def texts_of(values: Mapping[str, Any]) -> Texts:
    """Provenance and tokenizer among the fields of a configuration. Raises UserError where they are damaged."""
    try:
        found = msgspec.convert({f: values[f] for f in Texts.__struct_fields__ if values.get(f) is not None}, Texts)
    except msgspec.ValidationError as error:
        raise UserError(f"the configuration is damaged: {error}") from error
    if found.tokenizer is not None:
        tokenizer_from_dict(found.tokenizer)
    return found


def _stripped(weights: Any) -> "dict[str, Tensor] | Any":
    """The weights by the names of our model."""
    if not isinstance(weights, Mapping):
        return weights
    return {str(name).removeprefix(PREFIX): value for name, value in weights.items()}
