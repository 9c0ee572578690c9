"""Checkpoints: one file with the configuration, the weights and where they came from; only weights are unpickled."""

import pickle
import zipfile
from pathlib import Path

import torch

from spikegpt.config import Config
from spikegpt.errors import UserError
from spikegpt.files import write_atomically
from spikegpt.model import SpikeGPT

FORMAT = "spikegpt-checkpoint-1"


def save(model: SpikeGPT, path: str | Path, *, provenance: dict | None = None, half: bool = False, **extra) -> None:
    """Write a checkpoint atomically; `half` stores the matrices as float16, which halves the file.

    `provenance` (dict of str to str or number) says how the model came to be; `extra` holds training state.
    """
    weights = {k: v.half() if half and v.squeeze().ndim == 2 else v for k, v in model.state_dict().items()}
    record = {
        "format": FORMAT,
        "config": model.config.to_dict(),
        "model": weights,
        "provenance": provenance or {},
        **extra,
    }
    write_atomically(Path(path), lambda beside: torch.save(record, beside))


def read(path: str | Path) -> dict:
    """Read a checkpoint record with nothing but tensors and plain values unpickled.

    Raises UserError for a missing, truncated, foreign or code-carrying file.
    """
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: refused, it is damaged or holds more than weights (pickled code is never run)"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a readable checkpoint (truncated or of another kind)") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{path}: not a SpikeGPT checkpoint; expected format {FORMAT!r}")
    return record


def load(path: str | Path, **overrides) -> SpikeGPT:
    """Load a checkpoint as a float32 model in evaluation mode; `overrides` replace fields of its Config.

    Raises UserError when the file cannot be used or its weights do not fit the configuration.
    """
    record = read(path)
    try:
        model = SpikeGPT(Config.from_dict({**record["config"], **overrides}))
        model.load_state_dict({k: v.float() for k, v in record["model"].items()})
    except (KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: the weights do not fit the configuration: {' '.join(str(error).split())}") from error
    bad = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if bad:
        raise UserError(f"{path}: {bad[0]} holds NaN or infinite values")
    model.provenance = record["provenance"]
    return model.eval()
