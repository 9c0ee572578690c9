"""What a mapping onto a chip says to the energy report: traffic a token, cores and chips, and of which network."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from spikegpt.documents import read_document
from spikegpt.errors import UserError

MOST = 1 << 53  # whole numbers up to here are exact as float64


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Modelled time of a mapped network, seconds, means over `tokens` recorded tokens: of a step where a token begins
    at each (`step_s`, `barrier_s` of it meeting at the barrier), and of one token that has the chip alone
    (`latency_s`). `slowest_core` is it in `slowest_share` of the steps, whose work is `slowest_parts`."""

    source: str
    grade: str
    tokens: int
    steps_per_token: int
    step_s: float
    barrier_s: float
    latency_s: float
    slowest_core: int
    slowest_share: float
    slowest_parts: dict[str, float]
    left_out: tuple[str, ...]

    @property
    def tokens_per_s(self) -> float:
        """Of a text that is known: a token a step."""
        return 1 / self.step_s

    @property
    def tokens_per_s_alone(self) -> float:
        """Of one text that is being written: the next token waits for the last one's logits."""
        return 1 / self.latency_s


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Traffic of a declared mapping, per token; `populations` (LIFs and their neurons) and `synapses` (weights that
    read spikes) say which network was mapped. Graded messages carry the values between custom neurons."""

    chip: str
    cores: int
    chips: int
    populations: dict[str, int]
    synapses: int
    messages_per_token: float
    hops_ew_per_token: float
    hops_ns_per_token: float
    graded_messages_per_token: float | None = None  # None: the mapping did not count them
    graded_hops_ew_per_token: float = 0.0
    graded_hops_ns_per_token: float = 0.0
    host_values_per_token: float = 0.0  # onto the chip and off it
    speed: Speed | None = None  # None: nobody published times of the chip, or no spikes were recorded


class _File(msgspec.Struct):
    """mapping.json: the placement is one of its keys."""

    placement: Placement


def read_placement(path: Path) -> Placement:
    """The key "placement" of a mapping.json. Raises UserError naming the key at fault."""
    placement = read_document(path, _File, "mapping.json of a Loihi export").placement
    for field in msgspec.structs.fields(placement):
        value = getattr(placement, field.name)
        least = 1 if field.name in ("cores", "chips") else 0
        if isinstance(value, int | float) and abs(value) > MOST:
            raise UserError(f"{path}: placement.{field.name} is beyond {MOST:,}")
        if isinstance(value, int | float) and not value >= least:
            raise UserError(f"{path}: placement.{field.name} = {value!r} must be at least {least}")
    return placement


def check_network(placement: Placement, populations: Mapping[str, int], synapses: int, where: str) -> None:
    """Raise UserError unless the mapping is of a network of these populations, neurons and synapses."""
    theirs = placement.populations
    differing = sorted(k for k in theirs.keys() | populations if theirs.get(k) != populations.get(k))
    if differing or placement.synapses != synapses:
        here, first = sum(populations.values()), f"; first: {differing[0]}" if differing else ""
        raise UserError(
            f"{where}: the mapping of another network: {len(theirs)} populations of {sum(theirs.values()):,} neurons "
            f"and {placement.synapses:,} synapses, this model has {len(populations)} of {here:,} and "
            f"{synapses:,}{first}; export this model with --target loihi and name that folder's mapping.json"
        )
