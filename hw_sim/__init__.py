"""Event-driven simulation, exact operation counts and energy of a lowered network; reads `.nir` files, never torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hw_sim.counts.counts import Result
    from hw_sim.counts.modules import count
    from hw_sim.run.simulator import Simulator

__all__ = ["Result", "Simulator", "count"]

_HOMES = {"Result": "hw_sim.counts.counts", "count": "hw_sim.counts.modules", "Simulator": "hw_sim.run.simulator"}


def __getattr__(name: str) -> Any:
    # The compiled loops take a second to import, which whoever only reads a graph or a plan should not pay.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
