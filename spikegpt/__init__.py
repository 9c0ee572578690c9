"""SpikeGPT in PyTorch: the model, its checkpoints, training and evaluation."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spikegpt import caches
from spikegpt.config import Config
from spikegpt.errors import UserError

if TYPE_CHECKING:
    from spikegpt import snntorch_import
    from spikegpt.calls import evaluate, generate, train
    from spikegpt.checkpoint import load, save
    from spikegpt.model import SpikeGPT

__version__ = "0.1.0"
__all__ = ["Config", "SpikeGPT", "UserError", "__version__", "evaluate", "generate", "load", "save", "snntorch_import",
           "train"]  # fmt: skip

caches.prepare()
_HOMES = {"SpikeGPT": "spikegpt.model"}
_HOMES |= dict.fromkeys(("load", "save"), "spikegpt.checkpoint")
_HOMES |= dict.fromkeys(("evaluate", "generate", "train"), "spikegpt.calls")


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import, and nothing downstream of the .nir file may need it: it comes in on first use.
    if name == "snntorch_import":
        return import_module("spikegpt.snntorch_import")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
