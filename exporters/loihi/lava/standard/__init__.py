"""The network as standard Lava processes wherever they exist, one process an operator: for small models.

Text streams, one token a step, and a token's logits leave `depth` steps later. Generation feeds a token when the one
before has left. State moves only where a token is.
"""

from exporters.loihi.lava.standard.nodes import Schedule
from exporters.loihi.lava.standard.runner import run
from exporters.loihi.lava.standard.schedule import MAX_PROCESSES, schedule

__all__ = ["MAX_PROCESSES", "Schedule", "run", "schedule"]
