"""Checkpoints: our own files, `.safetensors`, and the released code's `.pth`; only weights are ever unpickled.

Our own file is one record: the format's name, the configuration, the weights, and where they came from.
"""

import json
import pickle
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from spikegpt.config import Config
from spikegpt.errors import UserError
from spikegpt.files import write_atomically
from spikegpt.model import SpikeGPT, build
from spikegpt.published import infer_config, is_published
from spikegpt.tokenizer import Bytes, Tokenizer, default_tokenizer, read_tokenizer, tokenizer_from_dict
from spikegpt.transformer import Transformer

FORMAT = "spikegpt-checkpoint-1"
SAFETENSORS = ".safetensors"


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
        write_atomically(path, lambda beside: save_file(weights, beside, metadata))
        return
    record = {
        "format": FORMAT,
        "config": model.config.to_dict(),
        "model": weights,
        "provenance": provenance or {},
        "tokenizer": tokenizer,
        **extra,
    }
    write_atomically(path, lambda beside: torch.save(record, beside))


def read(path: str | Path, binary_embedding: bool | str = "auto") -> dict:
    """Read a checkpoint of any known kind as one record: format, config, model, provenance.

    Tensors are mapped from the file where it allows. `binary_embedding` matters for published files alone.
    Raises UserError for a missing, truncated, foreign or code-carrying file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    record = read_safetensors(path) if path.suffix == SAFETENSORS else read_torch(path)
    if is_published(record):
        try:
            config = infer_config(record, binary_embedding)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        return {
            "format": FORMAT,
            "config": config.to_dict(),
            "model": record,
            "provenance": {"released_file": path.name},
        }
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(
            f"{path}: not a SpikeGPT checkpoint; expected format {FORMAT!r} or a state dict of the released code"
        )
    return record


def read_torch(path: Path) -> object:
    """Whatever torch.load finds in a file, with nothing but tensors and plain values unpickled."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: refused, it is damaged or holds more than weights (pickled code is never run)"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a readable checkpoint (truncated or of another kind)") from error


def read_safetensors(path: Path) -> object:
    """A `.safetensors` file: one of ours by its metadata, else its bare tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("format") != FORMAT:
            return weights
        texts = {name: json.loads(metadata.get(name, "null")) for name in ("config", "provenance", "tokenizer")}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a readable {SAFETENSORS} file: {' '.join(str(error).split())}") from error
    return {"format": FORMAT, "model": weights, **texts}


def load(path: str | Path, *, tokenizer: str | Path | None = None, **overrides) -> SpikeGPT | Transformer:
    """Load a checkpoint as a float32 model in evaluation mode; `overrides` replace fields of its Config.

    `tokenizer` names a JSON file (see `read_tokenizer`) for models that come without: the released ones.

    Takes our own files, `.safetensors`, and state dicts of the released code, for which `binary_embedding` may be
    "auto" (the default: as the released run-time does), True or False. float32 tensors stay mapped to the file.
    Raises UserError when the file cannot be used or its weights do not fit the configuration.
    """
    binary = overrides.pop("binary_embedding", "auto")
    record = read(path, binary)
    if binary != "auto":
        overrides["binary_embedding"] = bool(binary)
    try:
        config = Config.from_dict({**record["config"], **overrides})
        with torch.device("meta"), WithoutInitialisation():
            model = build(config)
        model.load_state_dict({k: v.float() for k, v in record["model"].items()}, assign=True)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: the weights do not fit the configuration: {' '.join(str(error).split())}") from error
    bad = [name for name, weight in model.named_parameters() if not all_finite(weight)]
    if bad:
        raise UserError(f"{path}: {bad[0]} holds NaN or infinite values")
    model.provenance = record["provenance"]
    model.tokenizer = tokenizer_of(record, tokenizer) or model.tokenizer
    return model.eval()


def tokenizer_of(record: dict, named: str | Path | None = None) -> Tokenizer | None:
    """The tokenizer that the user names, else the checkpoint's own, else bytes for 256 entries, else unknown.

    Raises UserError when it has more tokens than the model.
    """
    vocab = record["config"]["vocab_size"]
    if named is None:
        stored = record.get("tokenizer")
        return tokenizer_from_dict(stored) if stored else default_tokenizer(vocab)
    tokenizer = Bytes() if named == "bytes" else read_tokenizer(named)
    if tokenizer.vocab_size > vocab:
        raise UserError(f"{named}: its {tokenizer.vocab_size:,} tokens are more than the model's {vocab:,}")
    return tokenizer


class WithoutInitialisation(TorchFunctionMode):
    """Leaves out torch.nn.init while a model is built to be loaded: on "meta" it imports sympy, 75 MB and a second."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def all_finite(weight: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity; looked at in parts, as a mask of the whole would cost memory."""
    return all(bool(torch.isfinite(part).all()) for part in weight.detach().flatten().split(1 << 20))
