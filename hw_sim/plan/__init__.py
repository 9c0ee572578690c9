"""The plan of a network and its specification, in numpy alone; an export carries the folder to a Loihi host."""

from hw_sim.plan.plan import FIELDS, Op, Plan

__all__ = ["FIELDS", "Op", "Plan"]
