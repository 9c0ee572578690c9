"""Event-driven simulation, exact operation counts and energy of a lowered network; reads `.nir` files, never torch."""

from hw_sim.simulator import Result, Simulator

__all__ = ["Result", "Simulator"]
