"""Counts times prices: joules per token of a Work in a price column, term by term, and what meets no price."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from hw_sim.energy import lemaire
from hw_sim.energy.chips import static_power
from hw_sim.energy.placement import Placement
from hw_sim.energy.profiles import LEMAIRE, Prices, Profile
from hw_sim.energy.settings import Settings
from hw_sim.energy.work import AC, GRADED, MAC, TERNARY, Work

TERMS = {AC: "accumulates", MAC: "multiply-accumulates", GRADED: "multiply-accumulates", TERNARY: "ternary additions"}
ROLES = {  # role of a tensor -> term
    "weights": "weight reads", "accumulators": "accumulator traffic", "embedding": "embedding",
    "parameters": "constants", "state": "state", "activations": "activations", "kv": "KV cache",
}  # fmt: skip


@dataclass(frozen=True)
class Energy:
    """Joules per token by term; `unpriced` are the counts per token that meet no price in this column."""

    terms: dict[str, float]
    unpriced: dict[str, float]

    @property
    def total_j(self) -> float:
        return sum(self.terms.values())


class Access(NamedTuple):
    """Words of tensors of one role and size read and written a token; `size` in bytes, all copies that must be held."""

    role: str
    words: float
    bits: int
    size: float


def share_read(density: float, n: int) -> float:
    """Reads of a row of weights for each of `n` tokens that share it: (1 - (1 - r)^n) / n.

    A row is read once if any of them has an active input there; they are taken to be independent. 1 / n where every
    input is active, r for one token.
    """
    return density if n == 1 else (1 - (1 - density) ** n) / n


def accesses(work: Work, prices: Prices, streams: int = 1) -> Iterator[Access]:
    """Every tensor that a token touches, with the bits and the size that a column gives it.

    `streams` share the reads of weights and constants, and so do the tokens of a prompt. Each stream keeps a state and
    a cache of its own, each of these tokens its activations: what all of them keep must fit. Accumulators take the
    outputs of one token: outputs are worked through in blocks, as a dense product keeps its sums in registers.
    """
    weight = prices.weight_bits or 0
    wide = prices.accumulator_bits or weight
    bits = {
        "embedding": weight,
        "parameters": prices.state_bits or wide,
        "state": prices.state_bits or wide,
        "activations": prices.activation_bits or weight,
        "kv": prices.kv_bits or weight,
    }
    sharing = streams * work.prompt
    for m, copies in work.alike.items():
        if not m.weights:
            continue
        own = m.bits or weight
        read = share_read(m.effective / m.dense, sharing) * m.dense * copies / work.tokens
        yield Access("weights", read, own, m.weights * own / 8)
        if m.kind == AC:
            yield Access("accumulators", 2 * m.effective * copies / work.tokens, wide, m.fan_out * wide / 8)
    for t in work.tensors:
        moved = t.moved * t.copies / work.tokens / (sharing if t.shared else 1)
        held = 1 if t.shared or t.role == "embedding" else sharing if t.role == "activations" else streams
        yield Access(t.role, moved, bits[t.role], t.words * held * bits[t.role] / 8)


def price(
    work: Work, profile: Profile, precision: str, *, streams: int = 1, placement: Placement | None = None
) -> Energy | None:
    """Energy per token, or None where the profile prices none of the row's matrices (a GPT on Loihi)."""
    prices = profile.precisions[precision]  # type: ignore[index]  # precisions are checked on load
    if (prices.mac_j is None or profile.accounting == LEMAIRE) and not work.spiking:
        return None
    if profile.accounting == LEMAIRE:
        terms, unpriced = lemaire.terms(work, profile, prices)
        return Energy(terms, unpriced)
    found = _Bill(work.tokens)
    for kind, term in TERMS.items():
        unit = prices.mac_j if kind in (MAC, GRADED) else prices.ac_j
        found.charge(term, work.done(kind), unit, "mac" if kind in (MAC, GRADED) else "ac")
    _vectors(found, work, prices)
    _chip(found, work, prices, placement)
    _moves(found, work, profile, prices, streams)
    return Energy(found.terms, found.unpriced)


def costs(
    work: Work, settings: Settings, precision: str | None = None, *, placeable: bool = False
) -> dict[str, dict[str, Energy]]:
    """Energy per token by column, under its prices ("") and under each of its alternatives, where they price the work.

    `precision` is the only one that the work is of; None: any. A chip for spikes prices what is `placeable` alone, with
    the traffic of its site, and the static power of all its chips.
    """
    found = {}
    for column in settings.columns:
        if not (placeable if settings.spiking_chip(column) else precision in (None, column.precision)):
            continue
        site = settings.site(column)
        priced = {
            name: price(work, p, column.precision, streams=settings.batch, placement=site.placement if site else None)
            for name, p in settings.turned[column.name].items()
        }
        watts = settings.profile(column).static_w_per_chip
        static = static_power(watts, site, settings.tokens_per_s) if site else {}
        if energies := {name: replace(e, terms=e.terms | static) for name, e in priced.items() if e}:
            found[column.name] = energies
    return found


class _Bill:
    """Collects terms and what has no price."""

    def __init__(self, tokens: int):
        self.tokens, self.terms, self.unpriced = tokens, {}, {}  # type: int, dict[str, float], dict[str, float]

    def charge(self, term: str, count: float, unit_j: float | None, name: str) -> None:
        """`count` over all tokens at a price each; without one it is unpriced under `name`."""
        if not count:
            return
        held, key = (self.unpriced, name) if unit_j is None else (self.terms, term)
        held[key] = held.get(key, 0.0) + count / self.tokens * (1.0 if unit_j is None else unit_j)


def _vectors(bill: _Bill, work: Work, prices: Prices) -> None:
    """Element-wise work: a component at its own price a channel, else by kind."""
    for component, kinds in work.components.items():
        if component == "neurons" and prices.neuron_active_j is not None:
            continue  # an update has a price of its own
        own = getattr(prices, f"{component}_j", None)
        if own is not None:
            bill.charge("element-wise", work.channels[component], own, component)
            continue
        for kind, count in kinds.items():
            bill.charge("element-wise", count, getattr(prices, f"{kind}_j"), component)


def _chip(bill: _Bill, work: Work, prices: Prices, placement: Placement | None) -> None:
    """Neuron updates, spikes, messages and hops, where a profile knows them."""
    if prices.neuron_active_j is not None:
        bill.charge("neuron updates", work.active, prices.neuron_active_j, "neurons")
        bill.charge("neuron updates", work.neurons - work.active, prices.neuron_idle_j, "neurons")
        bill.charge("spikes", work.spikes, prices.spike_j, "spikes")
    if not work.spiking or prices.hop_ew_j is None:
        return
    if placement is None:
        bill.charge("messages", work.spikes, None, "messages")
        return
    bill.charge("messages", placement.messages_per_token * work.tokens, prices.message_j, "messages")
    bill.charge("hops", placement.hops_ew_per_token * work.tokens, prices.hop_ew_j, "hops")
    bill.charge("hops", placement.hops_ns_per_token * work.tokens, prices.hop_ns_j, "hops")


def _moves(bill: _Bill, work: Work, profile: Profile, prices: Prices, streams: int) -> None:
    """Reads and writes of memory, by the size of each tensor or, without a memory, at a price a word."""
    on_chip = prices.neuron_active_j is not None  # weights, accumulators and membranes are in its operations' prices
    for access in accesses(work, prices, streams):
        if access.role in profile.without or (on_chip and access.role in ("weights", "accumulators", "state")):
            continue
        if profile.memory:
            pinned = profile.memory.accumulator_level if access.role == "accumulators" else None
            level = profile.memory.level(pinned) if pinned else None
            bit = level.access_j_per_bit if level else profile.memory.access_j_per_bit(access.size)
            unit: float | None = bit * access.bits
        else:
            word = {"embedding": prices.embedding_j, "state": prices.state_j, "activations": prices.activation_j}
            unit = word.get(access.role)
        bill.charge(ROLES[access.role], access.words * work.tokens, unit, access.role)


def traffic(work: Work, profile: Profile, precision: str, streams: int = 1) -> dict[str, float]:
    """Bytes moved a token by level of a profile's memory: each tensor in the smallest that holds it, as priced."""
    assert profile.memory is not None
    moved = {level.name: 0.0 for level in profile.memory.levels}
    for a in accesses(work, profile.precisions[precision], streams):  # type: ignore[index]
        moved[profile.memory.level_for(a.size).name] += a.words * a.bits / 8
    return moved
