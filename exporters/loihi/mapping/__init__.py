"""The mapping of an integer plan onto the neurocores of a chip: an estimate from declared limits, with exact counts."""

from exporters.loihi.mapping.chip import CHIPS, Chip, load_chip
from exporters.loihi.mapping.mapper import Mapping, fit, map_plan

__all__ = ["CHIPS", "Chip", "Mapping", "fit", "load_chip", "map_plan"]
