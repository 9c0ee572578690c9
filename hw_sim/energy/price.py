"""Counts times prices: joules per token of a Work under a Profile, term by term, with what stays unpriced."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hw_sim.energy.profiles import LEMAIRE, Profile
from hw_sim.energy.work import AC, Work
from spikegpt.errors import UserError

LEVELS = (("8KB", 8192), ("32KB", 32768), ("1MB", 1 << 20), ("DRAM", float("inf")))  # a tensor sits in the smallest


@dataclass(frozen=True)
class Energy:
    """Joules per token by term; `unpriced` names counts above zero that this profile has no price for."""

    terms: dict[str, float]
    unpriced: tuple[str, ...]

    @property
    def total_j(self) -> float:
        return sum(self.terms.values())


@dataclass(frozen=True)
class Placement:
    """Spike traffic of a declared mapping onto cores, per token."""

    messages_per_token: float
    hops_ew_per_token: float
    hops_ns_per_token: float
    cores: int
    chips: int


def read_placement(path: str | Path) -> Placement:
    """Read the keys of Placement from a JSON file, or from its "placement" if it has one, as mapping.json does; others
    are ignored. Raises UserError naming the key at fault."""
    try:
        values = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a placement: {error}") from error
    values = values.get("placement", values) if isinstance(values, dict) else values
    found: dict[str, Any] = {}
    for field in fields(Placement):
        value = values.get(field.name) if isinstance(values, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise UserError(f"{path}: a placement needs {field.name}, a number of at least 0")
        found[field.name] = value
    return Placement(**found)


def price(
    work: Work,
    profile: Profile,
    precision: str,
    *,
    batch: int = 1,
    weight_level: str = "",
    placement: Placement | None = None,
) -> Energy | None:
    """Energy per token, or None where the profile prices none of the row's matrices (a GPT on Loihi).

    `batch` streams share one read of a densely used weight; a spike event always reads its own. `weight_level` forces
    the memory that weights and KV cache are read from; by default each tensor sits in the smallest that holds it.
    """
    if profile.accounting == LEMAIRE:
        return price_lemaire(work, profile, precision)
    prices = profile.precisions[precision]
    if "mac_j" not in prices and not work.acs:
        return None
    terms: dict[str, float] = {}
    priced: set[str] = set()

    def charge(term: str, count: float, unit_j: float) -> None:
        terms[term] = terms.get(term, 0.0) + count * unit_j / work.tokens

    charge("accumulates", work.acs, prices["ac_j"])
    if "mac_j" in prices:
        charge("multiply-accumulates", work.macs + work.graded, prices["mac_j"])
    if "mac_j" in prices or not work.macs + work.graded:
        priced.add("mac")
    if "neuron_active_j" in prices:
        charge("neuron updates", work.active, prices["neuron_active_j"])
        charge("neuron updates", work.neurons - work.active, prices["neuron_idle_j"])
        charge("spikes", work.spikes, prices["spike_j"])
    if placement and "hop_ew_j" in prices:
        terms["messages"] = placement.messages_per_token * prices.get("message_j", 0.0)
        terms["hops"] = (
            placement.hops_ew_per_token * prices["hop_ew_j"] + placement.hops_ns_per_token * prices["hop_ns_j"]
        )
        priced.add("messages")
    if profile.levels:
        bits, accumulator_bits = prices["weight_bits"], prices["accumulator_bits"]
        near = profile.level(profile.accumulator_level).access_j_per_bit

        def access(words: float) -> float:
            level = profile.level(weight_level) if weight_level else profile.level_for(words * bits / 8)
            return level.access_j_per_bit * bits

        for m in work.matrices:
            if m.kind == AC:
                charge("weight reads", m.effective, access(m.weights))
                charge("accumulator traffic", m.effective, 2 * accumulator_bits * near)
            elif m.weights:
                charge("weight reads", m.effective / (batch * work.reuse), access(m.weights))
        charge("state", 2 * work.state_words, bits * near)  # vectors of a layer's width: the smallest memory
        if work.kv_words:
            charge("KV cache", work.kv_read + work.kv_written, access(work.kv_words / work.kv_tensors))
    return Energy(terms, tuple(term for term in profile.unpriced if term not in priced))


def price_lemaire(work: Work, profile: Profile, precision: str) -> Energy | None:
    """Operations, addressing and memory of the matrices that spikes drive, after Lemaire et al. 2022.

    arXiv 2210.13107: a layer with theta input spikes does theta N_out additions, one MAC a neuron and step, one
    addition a spike sent; theta N_out additions of addresses; and reads theta spikes, theta N_out weights, and reads
    and writes theta N_out + N_out potentials, each access at a price linear in the size of its memory.
    """
    if not work.acs:
        return None
    prices = profile.precisions[precision]
    bits = prices["weight_bits"]
    sizes, costs = zip(
        (0.0, 0.0), *((level.bytes, 64 * level.access_j_per_bit) for level in profile.levels), strict=True
    )

    def access(words: float) -> float:
        size = words * bits / 8
        if size > sizes[-1]:  # beyond the table: along its last piece
            return costs[-1] + (size - sizes[-1]) * (costs[-1] - costs[-2]) / (sizes[-1] - sizes[-2])
        return float(np.interp(size, sizes, costs))

    terms = {"accumulates": work.acs * prices["ac_j"], "addressing": work.acs * prices["address_j"], "memory": 0.0}
    for m in work.matrices:
        if m.kind == AC:
            fan_out = m.fan_out or 1
            theta = m.effective / fan_out
            potentials = m.effective + fan_out * work.tokens
            terms["memory"] += theta * access(m.weights / fan_out) + m.effective * access(m.weights)
            terms["memory"] += 2 * potentials * access(fan_out)
    terms["neuron updates"] = work.neurons * prices["mac_j"] + work.spikes * prices["ac_j"]
    return Energy({k: v / work.tokens for k, v in terms.items()}, profile.unpriced)


def traffic(work: Work, weight_bits: int, batch: int = 1) -> dict[str, float]:
    """Bytes moved a token by memory level, each tensor in the smallest that holds it; accumulators in the first."""
    moved = {name: 0.0 for name, _ in LEVELS}

    def move(words: float, tensor_words: float) -> None:
        level = next(name for name, size in LEVELS if tensor_words * weight_bits / 8 <= size)
        moved[level] += words * weight_bits / 8 / work.tokens

    for m in work.matrices:
        if m.weights:
            move(m.effective / (1 if m.kind == AC else batch * work.reuse), m.weights)
        if m.kind == AC:
            move(2 * m.effective, 1)
    move(work.kv_read + work.kv_written, work.kv_words / work.kv_tensors)
    move(2 * work.state_words, work.state_words / work.tokens)
    return moved


def paper_table1(context: int, d: int, rate: float = 0.15) -> tuple[float, float]:
    """The paper's own accounting for one layer over a whole window: joules of its Transformer and of its SpikeGPT.

    4.5 pJ (9 T d^2 + 5 T^2) against 0.9 pJ * rate * 9 T d^2 + 4.5 pJ * 6 T d (arXiv 2302.13939). An assumption, not
    a count: it applies the firing rate of the LIF outputs to matrix inputs that are real numbers.
    """
    transformer = 4.5e-12 * (9 * context * d * d + 5 * context * context)
    spiking = 0.9e-12 * rate * 9 * context * d * d + 4.5e-12 * 6 * context * d
    return transformer, spiking


def break_even_density(profile: Profile, precision: str, fan_in: int, fan_out: int, batch: int = 1) -> float | None:
    """Density at which one projection costs the same on spikes as densely; above 1 the profile never says no to spikes.

    r* = (E_mac + E_w / B) / (E_ac + E_w + E_v), with E_w one weight read and E_v one accumulator read and write.
    None where the profile has no price for a MAC.
    """
    prices = profile.precisions[precision]
    if "mac_j" not in prices or profile.accounting:
        return None
    weight = accumulator = 0.0
    if profile.levels:
        weight = (
            profile.level_for(fan_in * fan_out * prices["weight_bits"] / 8).access_j_per_bit * prices["weight_bits"]
        )
        near = profile.level(profile.accumulator_level).access_j_per_bit
        accumulator = 2 * prices["accumulator_bits"] * near
    return (prices["mac_j"] + weight / batch) / (prices["ac_j"] + weight + accumulator)
