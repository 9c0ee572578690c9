"""Price tables: YAML files in SI units, each with a source, a grade and named alternatives; checked on load."""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from hw_sim.energy.memory import Memory, Rule
from hw_sim.energy.schema import CHIP, Column
from spikegpt.documents import parse_document, read_document
from spikegpt.errors import UserError

LEMAIRE, PAPER = "lemaire2022", "paper-table1"  # accountings: how counts and prices meet where a publication says
Precision = Literal["fp32", "fp16", "int8", "chip"]

# Joules that a price can be, lowest and highest: a slip of a factor 10^6 (pJ for J, uJ for pJ) leaves the band.
BANDS = {
    "operation": (1e-15, 1e-8),
    "neuron": (1e-14, 1e-7),
    "access": (1e-14, 1e-8),  # of a word
    "bit": (1e-15, 1e-9),
    "watt": (1e-4, 1e3),
}


class Prices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Joules by what is done, and bits of a word; a price that is not there leaves its work unpriced.

    `mac_j` and `ac_j` are operations of matrices. Element-wise work is priced by component, joules a channel
    (`layer_norm_j`), or by kind, joules an operation (`mul_j`). Where a profile has no memory, `embedding_j`, `state_j`
    and `activation_j` are joules a word moved.
    """

    ac_j: float
    mac_j: float | None = None
    mul_j: float | None = None
    add_j: float | None = None
    cmp_j: float | None = None
    exp_j: float | None = None
    div_j: float | None = None
    sqrt_j: float | None = None
    layer_norm_j: float | None = None
    wkv_j: float | None = None
    sigmoid_j: float | None = None
    gate_j: float | None = None
    mixing_j: float | None = None  # token shift and residual
    squared_relu_j: float | None = None
    gelu_j: float | None = None
    softmax_j: float | None = None
    neuron_active_j: float | None = None
    neuron_idle_j: float | None = None
    spike_j: float | None = None
    message_j: float | None = None
    hop_ew_j: float | None = None
    hop_ns_j: float | None = None
    address_j: float | None = None
    embedding_j: float | None = None
    state_j: float | None = None
    activation_j: float | None = None
    weight_bits: int | None = None
    accumulator_bits: int | None = None
    state_bits: int | None = None  # of states and of constant vectors; default: those of an accumulator
    activation_bits: int | None = None  # default: those of a weight, as for a KV cache
    kv_bits: int | None = None


class Alternative(Struct, frozen=True, forbid_unknown_fields=True):
    """One assumption of a profile turned: the prices, levels or rule that change, under a name, with a source."""

    name: str
    source: str
    precisions: tuple[Precision, ...] = ()  # none named: all
    prices: dict[str, float] = msgspec.field(default_factory=dict)
    levels: dict[str, float] = msgspec.field(default_factory=dict)  # name of a level -> joules a bit
    rule: Rule | None = None
    shift: int = 0
    without: tuple[str, ...] = ()  # tensors that are not moved at all


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices of one technology by precision. `unpriced` is what its author says it leaves out; a report computes that
    itself, from counts that meet no price."""

    name: str
    title: str
    grade: Literal["measured", "fitted", "simulated", "published", "derived", "assumed"]
    source: str
    technology: str
    scope: str
    precisions: dict[Precision, Prices]
    unpriced: tuple[str, ...] = ()
    memory: Memory | None = None
    accounting: Literal["", "lemaire2022", "paper-table1"] = ""
    static_w_per_chip: float = 0.0
    alternatives: tuple[Alternative, ...] = ()
    without: tuple[str, ...] = ()  # of the alternative that this profile is

    @property
    def columns(self) -> tuple[Column, ...]:
        """Its price columns; a publication's own formula prices no counts."""
        return () if self.accounting == PAPER else tuple(Column.of(self.name, p) for p in self.precisions)

    def under(self, alternative: Alternative) -> "Profile":
        """This profile with one assumption turned."""
        replace = msgspec.structs.replace
        memory = self.memory
        if memory:
            levels = tuple(
                replace(level, access_j_per_bit=alternative.levels.get(level.name, level.access_j_per_bit))
                for level in memory.levels
            )
            memory = replace(memory, levels=levels, rule=alternative.rule or memory.rule, shift=alternative.shift)
        precisions = {p: replace(prices, **alternative.prices) for p, prices in self.precisions.items()}
        return replace(self, memory=memory, precisions=precisions, without=alternative.without, alternatives=())

    def alternatives_at(self, precision: str) -> tuple[Alternative, ...]:
        """The alternatives that mean something at a precision."""
        return tuple(a for a in self.alternatives if not a.precisions or precision in a.precisions)


def shipped() -> dict[str, Profile]:
    """All profiles of the package, by name."""
    folder = resources.files("hw_sim.energy").joinpath("profiles")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    found = [checked(parse_document(f.read_bytes(), f.name, Profile, is_yaml=True), f.name) for f in files]
    return {p.name: p for p in found}


def load(name_or_path: str, known: dict[str, Profile] | None = None) -> Profile:
    """A shipped profile by name, or a YAML file of the user's. Raises UserError when it is unknown or invalid."""
    known = shipped() if known is None else known
    if name_or_path in known:
        return known[name_or_path]
    if "loihi2" in name_or_path.lower().replace(" ", "").replace("-", "") and not Path(name_or_path).exists():
        raise UserError("loihi2: Intel has published no energy per operation for Loihi 2, so there is no such profile")
    path = Path(name_or_path)
    if not path.exists():
        raise UserError(f"profile {name_or_path!r} is neither a file nor one of {', '.join(known)}")
    profile = checked(read_document(path, Profile, "a table of prices (.yaml)"), name_or_path)
    if profile.name in known:
        raise UserError(f"{path}: name: {profile.name!r} is a profile that ships with the tool; choose another name")
    return profile


def load_all(names: Iterable[str]) -> dict[str, Profile]:
    """Profiles by name, as `load` reads each. Raises UserError for two of one name as well."""
    known, found = shipped(), {}
    for name in names:
        profile = load(name, known)
        if profile.name in found and name not in known:
            raise UserError(f"{name}: name: {profile.name!r} is the name of two profiles given")
        found[profile.name] = profile
    return found


def checked(profile: Profile, where: str) -> Profile:
    """What a type cannot say; raises UserError naming the key at fault."""
    for key in ("name", "title", "source", "technology", "scope"):
        if not getattr(profile, key).strip():
            raise UserError(f"{where}: {key}: must say something")
    if any(c.isspace() for c in profile.name):
        raise UserError(f"{where}: name: {profile.name!r} holds white space")
    if not profile.precisions:
        raise UserError(f"{where}: precisions: at least one is needed")
    for precision, prices in profile.precisions.items():
        _check_prices(prices, f"{where}: precisions.{precision}", with_memory=profile.memory is not None)
    if CHIP in profile.precisions and len(profile.precisions) > 1:
        raise UserError(f"{where}: precisions: a chip has one price list, not others beside 'chip'")
    if profile.accounting == LEMAIRE:
        _check_lemaire(profile, where)
    if profile.memory:
        _check_memory(profile.memory, f"{where}: memory", bounded=profile.accounting == LEMAIRE)
    if profile.static_w_per_chip:
        _in_band(profile.static_w_per_chip, "watt", f"{where}: static_w_per_chip")
    names = [a.name for a in profile.alternatives]
    for alternative in profile.alternatives:
        place = f"{where}: alternatives.{alternative.name}"
        if names.count(alternative.name) > 1:
            raise UserError(f"{place}: two alternatives of one name")
        _check_alternative(profile, alternative, place)
    return profile


def _check_prices(prices: Prices, where: str, *, with_memory: bool) -> None:
    given = {k: v for k, v in msgspec.structs.asdict(prices).items() if v is not None}
    for key, value in given.items():
        if key.endswith("_bits"):
            if not 1 <= value <= 64:
                raise UserError(f"{where}.{key}: {value} bits; a word has 1 to 64")
        else:
            kind = "neuron" if key.startswith(("neuron", "spike", "message")) else "operation"
            band = "access" if key in ("embedding_j", "state_j", "activation_j") else kind
            _in_band(value, band, f"{where}.{key}")
    for group, why in (
        (("neuron_active_j", "neuron_idle_j", "spike_j"), "a neuron needs all three"),
        (("hop_ew_j", "hop_ns_j"), "a mesh needs both"),
    ):
        missing = [key for key in group if key not in given]
        if missing and len(missing) < len(group):
            raise UserError(f"{where}: missing {missing[0]!r}: {why}")
    if with_memory and "weight_bits" not in given:
        raise UserError(f"{where}: missing 'weight_bits', which a profile with memory needs")


def _check_lemaire(profile: Profile, where: str) -> None:
    if profile.memory is None:
        raise UserError(f"{where}: missing 'memory', which the accounting {LEMAIRE} needs")
    for precision, prices in profile.precisions.items():
        missing = [key for key in ("mac_j", "address_j", "weight_bits") if getattr(prices, key) is None]
        if missing:
            raise UserError(f"{where}: precisions.{precision}: missing {missing[0]!r}: {LEMAIRE} needs it")


def _check_memory(memory: Memory, where: str, *, bounded: bool) -> None:
    levels = memory.levels
    if not levels or levels[0].bytes is None:
        raise UserError(f"{where}.levels: at least one level of a size is needed")
    if len({level.name for level in levels}) < len(levels):
        raise UserError(f"{where}.levels: two levels of one name")
    for i, level in enumerate(levels):
        place = f"{where}.levels[{i}] ({level.name})"
        _in_band(level.access_j_per_bit, "bit", f"{place}: access_j_per_bit")
        if level.bytes is not None and not 1 <= level.bytes <= 1e30:
            raise UserError(f"{place}: bytes: {level.bytes:g} is no size of a memory")
        if i and (level.holds <= levels[i - 1].holds or level.access_j_per_bit < levels[i - 1].access_j_per_bit):
            raise UserError(f"{place}: levels go from the smallest and cheapest to the largest and dearest")
    if not bounded and levels[-1].holds < 1e15:
        raise UserError(
            f"{where}.levels: no level is large enough; the last one holds everything (leave its bytes out)"
        )
    if memory.accumulator_level is not None and memory.accumulator_level not in {level.name for level in levels}:
        raise UserError(f"{where}.accumulator_level: {memory.accumulator_level!r} is not one of the levels")
    if memory.shift:
        raise UserError(f"{where}.shift: belongs to an alternative")


def _check_alternative(profile: Profile, alternative: Alternative, where: str) -> None:
    known = set(Prices.__struct_fields__)
    for key in alternative.prices:
        if key not in known:
            raise UserError(f"{where}: prices: unknown price {key!r}")
    levels = {level.name for level in profile.memory.levels} if profile.memory else set()
    for name in alternative.levels:
        if name not in levels:
            raise UserError(f"{where}: levels: {name!r} is not one of the profile's")
    turned = profile.under(alternative)
    for precision in alternative.precisions or profile.precisions:
        if precision not in profile.precisions:
            raise UserError(f"{where}: precisions: the profile has no {precision}")
        _check_prices(turned.precisions[precision], f"{where}: prices", with_memory=profile.memory is not None)
    for level in turned.memory.levels if turned.memory else ():
        _in_band(level.access_j_per_bit, "bit", f"{where}: levels.{level.name}")


def _in_band(value: float, kind: str, where: str) -> None:
    low, high = BANDS[kind]
    unit = "watts" if kind == "watt" else "joules"
    if not low <= value <= high:
        free = "; leave out what has no price" if value == 0 else ""
        raise UserError(f"{where}: {value:g} {unit} lies outside {low:g} to {high:g}: is the unit right?{free}")
