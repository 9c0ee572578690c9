"""What an access to a memory costs, as a function of the size of the tensor that lies in it."""

from itertools import pairwise
from typing import Literal

from msgspec import Struct

Rule = Literal["smooth", "step"]


class Level(Struct, frozen=True, forbid_unknown_fields=True):
    """A memory of `bytes` (None: of any size), one bit of which costs `access_j_per_bit` to read or write."""

    name: str
    access_j_per_bit: float
    bytes: float | None = None

    @property
    def holds(self) -> float:
        return float("inf") if self.bytes is None else self.bytes


class Memory(Struct, frozen=True, forbid_unknown_fields=True):
    """Levels from the smallest to the largest.

    smooth: linear in the tensor's size between the published levels, as Lemaire et al. 2022 (arXiv 2210.13107) do, and
    on along the last piece until a level without a size (DRAM) is cheaper; below the smallest level its own price, as
    nothing is published there. step: the price of the smallest level that holds the tensor, or of the one `shift`
    levels above it. `accumulator_level` pins accumulators to a level whatever their size.
    """

    levels: tuple[Level, ...]
    rule: Rule = "smooth"
    shift: int = 0
    accumulator_level: str | None = None

    def level_for(self, size: float) -> Level:
        """The smallest level that holds `size` bytes; the largest one where none does."""
        return next((level for level in self.levels if size <= level.holds), self.levels[-1])

    def level(self, name: str) -> Level:
        return next(level for level in self.levels if level.name == name)

    def access_j_per_bit(self, size: float) -> float:
        """Joules to read or write one bit of a tensor of `size` bytes."""
        if self.rule == "step":
            at = self.levels.index(self.level_for(size)) + self.shift
            return self.levels[min(max(at, 0), len(self.levels) - 1)].access_j_per_bit
        corners = [(level.bytes, level.access_j_per_bit) for level in self.levels if level.bytes is not None]
        if size <= corners[0][0]:
            return corners[0][1]
        if len(corners) == 1:
            corners = [(0.0, 0.0), *corners]
        low, high = next(((a, b) for a, b in pairwise(corners) if size <= b[0]), corners[-2:])
        price = low[1] + (size - low[0]) * (high[1] - low[1]) / (high[0] - low[0])
        last = self.levels[-1]
        return min(price, last.access_j_per_bit) if last.bytes is None else price
