"""Event-driven simulation, exact operation counts and energy of a lowered network; reads `.nir` files, never torch."""

from hw_sim.results import Result
from hw_sim.simulator import Simulator

__all__ = ["Result", "Simulator"]
