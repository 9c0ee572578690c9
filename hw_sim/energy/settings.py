"""What a report assumes of the comparison: the Transformer's context, streams, prices, chips."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from hw_sim.energy import profiles
from hw_sim.energy.chips import TOKENS_PER_S, Site
from hw_sim.energy.profiles import Profile
from hw_sim.energy.schema import CHIP, Column, Shape
from hw_sim.energy.work import DECODE

TRAINED = 256  # tokens of context where nobody says what a model was trained on


@dataclass(frozen=True)
class TransformerQuality:
    """A trained Transformer's score on the text of the report."""

    name: str
    shape: Shape
    bits_per_byte: float
    tokens: int
    file: str


@dataclass(frozen=True)
class Settings:
    """`context` None: that of training, `trained_context`. `batch` streams share reads of weights; `mode` is the token:
    at the last position, averaged over the window, or of a whole prompt at once. No `precisions` named: all.

    `sites` say by technology where the network lies on its chips, whose static power a token takes for 1 /
    `tokens_per_s` seconds.
    """

    context: int | None = None
    trained_context: int = TRAINED
    batch: int = 1
    mode: str = DECODE
    priced: Mapping[str, Profile] = field(default_factory=profiles.shipped)
    precisions: tuple[str, ...] = ()
    sites: Mapping[str, Site] = field(default_factory=dict)
    tokens_per_s: float = TOKENS_PER_S
    baselines: bool = False
    footprints: tuple[dict, ...] = ()
    qualities: tuple[TransformerQuality, ...] = ()  # of trained Transformers

    @property
    def window(self) -> int:
        """The context that rows are computed at."""
        return self.trained_context if self.context is None else self.context

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return tuple(
            column
            for profile in self.priced.values()
            for column in profile.columns
            if not self.precisions or column.precision in (*self.precisions, CHIP)
        )

    @cached_property
    def turned(self) -> dict[str, dict[str, Profile]]:
        """By column: its profile ("") and the profile under each alternative that means something there."""
        return {
            c.name: {"": (p := self.profile(c)), **{a.name: p.under(a) for a in p.alternatives_at(c.precision)}}
            for c in self.columns
        }

    def profile(self, column: Column) -> Profile:
        return self.priced[column.profile]

    def spiking_chip(self, column: Column) -> bool:
        """Whether the column is of a chip for spikes alone, which prices no dense row."""
        prices = self.profile(column).precisions.get(CHIP)
        return prices is not None and prices.mac_j is None

    def site(self, column: Column) -> Site | None:
        return self.sites.get(self.profile(column).technology)
