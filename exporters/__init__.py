"""Lowering of SpikeGPT: a torch model to a NIR graph, and a NIR graph to deployment targets and an energy report."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporters import nir
    from exporters.calls import energy, export

__all__ = ["energy", "export", "nir"]


def __getattr__(name: str) -> Any:
    # Neither torch nor numba is imported by who only asks for a part of the package.
    if name == "nir":
        return import_module("exporters.nir")
    if name in __all__:
        return getattr(import_module("exporters.calls"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
