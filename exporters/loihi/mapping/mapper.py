"""An integer plan on a chip: cores and chips it takes, what each core holds, and the spikes between them."""

from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from exporters.loihi.mapping.chip import Chip
from exporters.loihi.mapping.groups import Group, groups_of, off_chip, weight_bits
from exporters.loihi.mapping.improve import improve
from exporters.loihi.mapping.mesh import Hops, hops_of, links_of
from exporters.loihi.mapping.partition import Burden, Partition, partition
from exporters.loihi.mapping.values import Values, values_of
from exporters.loihi.mapping.work import EVENTS, Times, busy_of, events_of, times_of
from hw_sim.counts.counts import Counts
from hw_sim.plan import Plan
from spikegpt.errors import UserError

SLACKS = tuple(1.05**k for k in range(40))  # times the even share of a core, tried in turn


@dataclass(frozen=True, eq=False)
class Mapping:
    """`traffic` (cores, cores) int64 are spike messages over `tokens` tokens, one per spike and destination core, the
    neuron's own core included; `values` the graded values beside them; `places` (cores,) are positions, chip by chip;
    `hops` are those of spikes, `hops_before` those of cores in dataflow order, `value_hops` those of graded values."""

    chip: Chip
    chips: int
    bits: int
    groups: tuple[Group, ...]
    off_chip: tuple[str, ...]
    partition: Partition
    places: np.ndarray
    traffic: np.ndarray
    tokens: int
    hops: Hops
    hops_before: Hops
    values: Values
    value_hops: Hops
    links: dict

    @property
    def messages(self) -> int:
        return int(self.traffic.sum())


def map_plan(plan: Plan, chip: Chip, counts: Counts, chips: int | None = None) -> Mapping:
    """Partition a plan and place its cores by the spikes that `counts` measured on a text, and by graded values where
    the chip's messages carry any. Where the chip's times are published, the network is spread over all cores of the
    chips that it needs as long as the slowest one gains.

    Raises UserError, with what would fit, where a limit of the chip or the number of `chips` is exceeded.
    """
    groups, parts = fit(plan, chip, chips)
    if parts.cores and (times := times_of(chip.name)):
        room = -(-parts.cores // chip.cores) * chip.cores
        parts = spread_evenly(groups, parts, replace(chip, cores=room), weight_bits(plan), counts, times)
    return placed(plan, chip, groups, parts, counts)


def placed(
    plan: Plan,
    chip: Chip,
    groups: tuple[Group, ...],
    parts: Partition,
    counts: Counts,
    places: np.ndarray | None = None,
) -> Mapping:
    """The mapping of a plan with the traffic of `counts`, with its cores at these places, else the best found."""
    traffic, values = traffic_of(groups, parts, counts), values_of(plan, groups, parts, counts)
    chips = -(-parts.cores // chip.cores)
    if places is None:
        places = improve(traffic + values.traffic if chip.message_bits else traffic, chip, chips)
    return Mapping(
        chip=chip,
        chips=chips,
        bits=weight_bits(plan),
        groups=groups,
        off_chip=off_chip(plan),
        partition=parts,
        places=places,
        traffic=traffic,
        tokens=max((p.tokens for p in counts.populations), default=0),
        hops=hops_of(traffic, chip, places),
        hops_before=hops_of(traffic, chip, np.arange(parts.cores)),
        values=values,
        value_hops=hops_of(values.traffic, chip, places),
        links=links_of(traffic, chip, places),
    )


def fit(plan: Plan, chip: Chip, chips: int | None) -> tuple[tuple[Group, ...], Partition]:
    """The groups of a plan and their partition, which needs no counts; raises UserError as `map_plan` does."""
    groups, bits = groups_of(plan), weight_bits(plan)
    parts = partition(groups, chip, bits)
    if chips is not None and parts.cores > chips * chip.cores:
        raise UserError(too_many(groups, chip, bits, parts.cores, chips))
    return groups, parts


def spread_evenly(
    groups: tuple[Group, ...], parts: Partition, room: Chip, bits: int, counts: Counts, times: Times
) -> Partition:
    """The partition onto the cores of `room` with the shortest mean step: `parts`, or one that shares the work evenly
    among more cores; with few tiles the barrier is nearer."""
    rates = {p.name: (p.fired / max(1, p.tokens)).astype(np.float32)[None] for p in counts.populations}
    firing = [(i, rates[g.population]) for i, g in enumerate(groups) if g.population is not None]
    heard = dict.fromkeys(range(-1, len(groups)), 0.0) | {i: float(rate.sum()) for i, rate in firing}
    each = tuple(times.neuron_s + times.dense_synapse_s * heard[g.source] for g in groups)
    total = sum(of * g.neurons for of, g in zip(each, groups, strict=True))

    def step(found: Partition) -> float:
        events = np.zeros((len(EVENTS), 1, found.cores))
        for i, rate in firing:
            events += events_of(groups, found, i, rate)
        return float(busy_of(found, events, times).max()) + times.barrier(-(-found.cores // room.cores_per_tile))

    def evenly(cores: int) -> Partition | None:
        for slack in SLACKS:
            try:
                found = partition(groups, room, bits, Burden(each, max(*each, slack * total / cores)))
            except UserError:
                continue  # the share of a core is less than one neuron's
            if found.cores <= cores:
                return found
        return None

    sizes = {room.cores, *(room.cores_per_tile * (tiles - 1) for tiles in times.barrier_s)}
    tried = (evenly(cores) for cores in sorted(sizes) if parts.cores < cores <= room.cores)
    return min([parts, *(found for found in tried if found)], key=step)


def traffic_of(groups: tuple[Group, ...], parts: Partition, counts: Counts) -> np.ndarray:
    """Messages from core to core, (cores, cores) int64: one for every spike and every core where it has a synapse."""
    fired = {p.name: p.fired for p in counts.populations}
    traffic = np.zeros((parts.cores, parts.cores), np.int64)
    for block in parts.blocks:
        population = groups[block.group].population
        if population is None:
            continue
        part = slice(block.low, block.high)
        for core, mask in parts.feeds.get(block.group, {}).items():
            traffic[block.core, core] += int(fired[population][part][mask[part]].sum())
    return traffic


def too_many(groups: tuple[Group, ...], chip: Chip, bits: int, cores: int, chips: int) -> str:
    """The message for a plan that needs more chips than given: how many more cores, and what would fit."""
    room, needed = chips * chip.cores, -(-cores // chip.cores)
    fits = [f"--chips {needed}"]
    fewer = next((b for b in range(bits - 1, 1, -1) if partition(groups, chip, b).cores <= room), None)
    if fewer:
        fits.append(f"--bits {fewer}")
    synapses = sum(g.weights.size for g in groups)
    neurons = sum(g.neurons for g in groups)
    if neurons <= room * chip.neurons_per_core and synapses:
        index = max(1, (min(chip.neurons_per_core, max(g.neurons for g in groups)) - 1).bit_length())
        share = 1 - 8 * room * chip.synapse_bytes_per_core / (synapses * (bits + index))
        if 0 < share < 0.995:
            fits.append(f"about --prune {-(-share * 100 // 1) / 100:.2f}")
    return (
        f"{chip.name}: {cores} cores are needed, {cores - room} more than the {room} of {chips} chip(s); "
        f"{' or '.join(fits)} would fit"
    )
