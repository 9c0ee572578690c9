"""The compiled loops that execute rows of a plan."""

from hw_sim.kernels.real import run_float
from hw_sim.kernels.whole import run_integer

__all__ = ["run_float", "run_integer"]
