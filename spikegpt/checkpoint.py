"""Checkpoints: our own files, `.safetensors`, and state dicts without a configuration; only weights are ever unpickled.

Our own file is one record: the format's name, the configuration, the weights, and where they came from. A zip carries
checksums of its own; in a `.safetensors` file a digest of everything stands in the metadata.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from spikegpt import files
from spikegpt.config import Config
from spikegpt.documents import parse_document
from spikegpt.errors import Notice, UserError
from spikegpt.model import SpikeGPT, build
from spikegpt.outlines import FORMAT
from spikegpt.pretrained import read_pretrained
from spikegpt.published import EMBEDDING, find_state_dict, infer_config
from spikegpt.tokenizer import Tokenizer, default_tokenizer, tokenizer_from_dict
from spikegpt.tokenizer_files import agreed
from spikegpt.transformer import Transformer
from spikegpt.weights import SAFETENSORS, find, read_weights, require_float, shard_of

PART = 1 << 20  # numbers looked at at once
TEXTS = ("config", "provenance", "tokenizer")  # of a record, beside its weights


class _Head(msgspec.Struct):
    """A record without its weights and training state, as plain values."""

    config: dict[str, bool | int | float | str]
    provenance: dict[str, bool | int | float | str | None] = {}
    tokenizer: dict[str, str] | None = None


def save(
    model: SpikeGPT | Transformer, path: str | Path, *, provenance: dict | None = None, half: bool = False, **extra
) -> None:
    """Write a checkpoint atomically, as `.safetensors` if the name ends so; `half` stores the matrices as float16.

    `provenance` (dict of str to str or number) says how the model came to be; `extra` holds training state, which
    `.safetensors` cannot.
    """
    path = Path(path)
    tokenizer = model.tokenizer.to_dict() if model.tokenizer else None
    weights = {k: v.half() if half and v.squeeze().ndim == 2 else v for k, v in model.state_dict().items()}
    if path.suffix == SAFETENSORS:
        if extra:
            raise UserError(f"{path}: a {SAFETENSORS} file holds weights only, not {', '.join(extra)}")
        texts = {"config": model.config.to_dict(), "provenance": provenance or {}, "tokenizer": tokenizer}
        metadata = {"format": FORMAT, **{k: json.dumps(v) for k, v in texts.items()}}
        metadata["digest"] = digest(weights, metadata)
        files.write(path, lambda file: save_file(weights, file.name, metadata))
        return
    record = {
        "format": FORMAT,
        "config": model.config.to_dict(),
        "model": weights,
        "provenance": provenance or {},
        "tokenizer": tokenizer,
        **extra,
    }
    files.write(path, lambda file: torch.save(record, file), signed=True)


def read(
    path: str | Path,
    *,
    variant: str | None = None,
    binary_embedding: bool | str = "auto",
    silent: bool = False,
) -> dict:
    """Read a checkpoint of any known kind as one record: format, config, model, provenance, and tokenizer or None.

    `path` is a file, an index of shards, or a folder of a run or of Hugging Face's, whose `config.json` is read if
    it is a SpikeGPT's. Tensors are mapped from the file where it allows. `variant` and `binary_embedding` (True,
    False, "auto") say of a state dict without a configuration what it does not say itself; what was taken for granted
    is a Notice, unless `silent`.
    Raises UserError for a missing, truncated, foreign or code-carrying file.
    """
    path = find(Path(path))
    found, metadata = read_weights(path)
    described = read_pretrained(path, found) if metadata.get("format") != FORMAT else None
    try:
        if metadata.get("format") == FORMAT:
            found = _from_metadata(found, metadata)
        elif described is not None:
            found = {"format": FORMAT, **described}
        if isinstance(found, Mapping) and "format" in found and isinstance(found["format"], str):
            return _own_record(found)
        weights = find_state_dict(found)
        config, taken = infer_config(weights, variant, None if binary_embedding == "auto" else bool(binary_embedding))
    except UserError as error:
        part = f" ({part}: name the index or the folder)" if (part := shard_of(path)) else ""
        raise UserError(f"{path}{part}: {error}") from error
    if not silent:
        warnings.warn(f"{path}: {taken}", Notice, stacklevel=2)
    provenance = {"released_file": path.name, "taken_as": taken.split(" taken as ")[1].split(";")[0]}
    return {
        "format": FORMAT,
        "config": config.to_dict(),
        "model": weights,
        "provenance": provenance,
        "tokenizer": None,
        "inferred": True,
    }


def _own_record(found: Mapping) -> dict:
    """Our own record, with all but the training state checked. Raises UserError."""
    if found["format"] != FORMAT:
        raise UserError(f"a record of format {found['format']!r}; this tool reads {FORMAT!r} and state dicts")
    try:
        head = msgspec.convert({k: found[k] for k in TEXTS if k in found}, _Head)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UserError(f"its record is damaged: {' '.join(str(error).split())}") from error
    weights = found.get("model")
    if not isinstance(weights, Mapping) or not isinstance(weights.get(EMBEDDING), Tensor):
        raise UserError(f"its record holds no weights ({EMBEDDING} is missing)")
    for name, value in weights.items():
        require_float(str(name), value)
    return {**found, **msgspec.structs.asdict(head)}


def _from_metadata(weights: Mapping[str, Tensor], metadata: dict[str, str]) -> dict:
    """The record in a `.safetensors` file of ours. Raises UserError where its digest is another."""
    stored = metadata.pop("digest", None)
    if stored is not None and stored != digest(weights, metadata):
        raise UserError("damaged: its digest is not that of what it holds")
    texts = {k: parse_document(metadata[k].encode(), k, Any) for k in TEXTS if k in metadata}
    return {"format": FORMAT, "model": weights, **texts}


def digest(weights: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """sha256 over names, types, shapes and bytes of tensors, and the texts that go with them."""
    found = hashlib.sha256(json.dumps(sorted(texts.items())).encode())
    for name in sorted(weights):
        tensor = weights[name].detach().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def load(
    path: str | Path,
    *,
    tokenizer: str | Path | None = None,
    variant: str | None = None,
    binary_embedding: bool | str = "auto",
    **overrides,
) -> SpikeGPT | Transformer:
    """Load a checkpoint as a float32 model in evaluation mode; `overrides` replace fields of its Config.

    `tokenizer` names a JSON file (see `read_tokenizer`) for models that come without: the released ones.

    Takes what `read` takes, whose `variant` and `binary_embedding` (True, False, "auto") say what a state dict does
    not, and override what a configuration says. float32 tensors stay mapped to the file.
    Raises UserError when the file cannot be used or its weights do not fit the configuration.
    """
    record = read(path, variant=variant, binary_embedding=binary_embedding)
    if variant is not None:
        overrides["variant"] = variant
    if binary_embedding != "auto":
        overrides["binary_embedding"] = bool(binary_embedding)
    return from_record(record, path, tokenizer, **overrides)


def from_record(record: dict, path: str | Path, tokenizer: str | Path | None = None, **overrides) -> Any:
    """The model of a record that `read` gave; `path` names it in errors. Raises UserError as `load` does."""
    try:
        config = Config.from_dict({**record["config"], **overrides})
        weights = dict(record["model"])
        require_size(config, weights)
        with torch.device("meta"), WithoutInitialisation():
            model = build(config)
        model.load_state_dict(fitted(model, weights), assign=True)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    bad = [name for name, weight in model.named_parameters() if not all_finite(weight)]
    if bad:
        raise UserError(f"{path}: {bad[0]} holds NaN or infinite values")
    model.provenance = record["provenance"]
    try:
        model.tokenizer = tokenizer_of(record, tokenizer) or model.tokenizer
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return model.eval()


def require_size(config: Config, weights: Mapping[str, Tensor]) -> None:
    """Raise UserError where a configuration claims another size than the weights have: before memory is asked for."""
    layers = 1 + max((int(n.split(".")[1]) for n in weights if re.match(r"blocks\.\d{1,6}\.", n)), default=-1)
    if layers != config.n_layer:
        raise UserError(f"the weights do not fit the configuration: {layers} blocks, n_layer = {config.n_layer}")
    shape = tuple(weights[EMBEDDING].shape)
    if shape != (config.vocab_size, config.n_embd):
        raise UserError(
            f"the weights do not fit the configuration: {EMBEDDING} has shape {shape}, vocab_size x n_embd is "
            f"{(config.vocab_size, config.n_embd)}"
        )


def fitted(model: SpikeGPT | Transformer, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as float32 in the shapes of a model; axes of length 1 may lack, as the released run-time drops them.

    Raises UserError naming the first key that is missing, unknown or of another shape.
    """
    needed = {name: value.shape for name, value in model.state_dict().items()}
    unknown = [name for name in weights if name not in needed]
    if unknown:
        raise UserError(f"the weights do not fit the configuration: {unknown[0]} is in no {model.config.variant} model")
    taken = {}
    for name, shape in needed.items():
        if name not in weights:
            raise UserError(f"the weights do not fit the configuration: {name} is missing")
        held = weights[name].detach()
        if [n for n in held.shape if n != 1] != [n for n in shape if n != 1]:
            raise UserError(
                f"the weights do not fit the configuration: {name} has shape {tuple(held.shape)}, a "
                f"{model.config.variant} model of this size needs {tuple(shape)}"
            )
        taken[name] = held.reshape(shape).float()
    return taken


def tokenizer_of(record: dict, named: str | Path | None = None) -> Tokenizer | None:
    """The checkpoint's own tokenizer, else the one that the user names, else bytes for 256 entries, else unknown.

    Raises UserError when the one named is another than the checkpoint's own, or its size is not the model's.
    """
    vocab, stored = record["config"]["vocab_size"], record.get("tokenizer")
    own = tokenizer_from_dict(stored) if stored else None
    if own is not None and own.vocab_size > vocab:
        raise UserError(f"its tokenizer has {own.vocab_size:,} tokens, more than the model's {vocab:,}")
    return agreed(own, named, vocab) or default_tokenizer(vocab)


class WithoutInitialisation(TorchFunctionMode):
    """Leaves out torch.nn.init while a model is built to be loaded: on "meta" it imports sympy, 75 MB and a second."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def all_finite(weight: Tensor) -> bool:
    """Whether a float32 tensor holds neither NaN nor infinity; looked at in parts, as a mask of the whole would cost
    memory, and by numpy: torch's threads wait for each other on a busy machine for longer than this takes."""
    values = weight.detach().numpy().ravel()
    return all(np.isfinite(values[low : low + PART]).all() for low in range(0, values.size, PART))
