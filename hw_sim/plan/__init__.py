"""The plan of a network and its specification, in numpy alone; an export carries the folder to a Loihi host."""

from hw_sim.plan.ops import OPERATIONS, Given, Op, Operation, Row
from hw_sim.plan.plan import FIELDS, Plan, Population

__all__ = ["FIELDS", "OPERATIONS", "Given", "Op", "Operation", "Plan", "Population", "Row"]
