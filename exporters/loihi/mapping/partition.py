"""Which core holds which neurons, with all their synapses: packed greedily against the direction of the data.

Readers are placed before the neurons they listen to, so that every neuron's destination cores, and with them its output
axons, are known when it is placed. Synapses fill one core after the other; a population without synapses goes to the
cores that read it first.

Memory of a block of k neurons: `bits` a synapse, dense; or, where smaller, non-zero ones alone with ceil(log2 k) bits
each for the neuron they end in. Axon tables are taken to lie outside the synapse memory, as the separate limits say.
"""

from dataclasses import dataclass, field
from math import ceil

import numpy as np

from exporters.loihi.mapping.chip import Chip
from exporters.loihi.mapping.groups import Group
from hw_sim.plan import fixed_point as fp
from spikegpt.errors import UserError

GRADED_BITS = fp.NORM_INPUT_LIMIT.bit_length() + 1  # a signal between custom neurons, with its sign


@dataclass(frozen=True)
class Block:
    """Neurons `low` to `high` of a group on a core, and the bytes and format of their synapses."""

    group: int
    low: int
    high: int
    core: int
    synapse_bytes: int
    sparse: bool


@dataclass(frozen=True)
class Burden:
    """A limit beside the chip's: what one neuron of each group counts, and the most on a core."""

    of_neuron: tuple[float, ...]
    most: float


@dataclass(frozen=True, eq=False)
class Partition:
    """Blocks in dataflow order; `usage` (cores,) int64 by the names of `Chip.limits`.

    `feeds[g]` holds for every core that group g sends spikes to which of its neurons do, (neurons,) bool.
    """

    blocks: tuple[Block, ...]
    cores: int
    usage: dict[str, np.ndarray]
    feeds: dict[int, dict[int, np.ndarray]]


def partition(groups: tuple[Group, ...], chip: Chip, bits: int, burden: Burden | None = None) -> Partition:
    """Place every neuron once. Raises UserError where the chip's number formats or one neuron alone break a limit, or
    `burden`."""
    check_formats(groups, chip, bits)
    packing = _Packing(groups, chip, bits, burden)
    for index in reversed(range(len(groups))):
        packing.place(index)
    n = len(packing.used)
    names = {core: n - 1 - core for core in range(n)}  # the first in dataflow order becomes core 0
    usage = {key: np.array([packing.used[n - 1 - i][key] for i in range(n)], np.int64) for key in chip.limits}
    blocks = tuple(
        Block(b.group, b.low, b.high, names[b.core], b.synapse_bytes, b.sparse)
        for b in sorted(packing.blocks, key=lambda b: (b.group, b.low))
    )
    feeds = {g: {names[core]: mask for core, mask in sorted(to.items())} for g, to in packing.feeds.items()}
    return Partition(blocks, n, usage, feeds)


def check_formats(groups: tuple[Group, ...], chip: Chip, bits: int) -> None:
    """Raise UserError where weights or messages are wider than the chip's."""
    if bits > chip.weight_bits:
        raise UserError(
            f"{chip.name}: weights of {bits} bits, {bits - chip.weight_bits} more than a synapse holds; "
            f"--bits {chip.weight_bits} would fit"
        )
    graded = next((g for g in groups if g.population is None), None)
    if graded and 0 < chip.message_bits < GRADED_BITS:
        raise UserError(
            f"{chip.name}: node {graded.name!r} sends values of {GRADED_BITS} bits, {GRADED_BITS - chip.message_bits} "
            f"more than the {chip.message_bits} of a message; message_bits of {GRADED_BITS}, or 0 where element-wise "
            f"work is left to processors, would fit"
        )


@dataclass
class _Packing:
    """Cores while they fill, in order of opening."""

    groups: tuple[Group, ...]
    chip: Chip
    bits: int
    burden: Burden | None = None
    used: list[dict[str, float]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    feeds: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)

    @property
    def limits(self) -> dict[str, float | None]:
        return self.chip.limits | ({"burden": self.burden.most} if self.burden else {})

    def place(self, index: int) -> None:
        """Lay all neurons of a group on cores, opening new ones as needed."""
        group = self.groups[index]
        targets = self.feeds.get(index, {})
        destinations = np.zeros(group.neurons, np.int64)
        for mask in targets.values():
            destinations += mask
        nonzero = group.weights != 0
        candidates = [] if group.fan_in else sorted(targets)
        if self.used:
            candidates.append(len(self.used) - 1)
        low = 0
        while low < group.neurons:
            fresh = not candidates
            if fresh:
                self.used.append(dict.fromkeys(self.limits, 0))
            core = len(self.used) - 1 if fresh else candidates.pop(0)
            low_before, low = low, self._fill(core, index, low, destinations, nonzero)
            if fresh and low == low_before:
                self._refuse(group, low, int(destinations[low]), int(group.synapses[low]))

    def _fill(self, core: int, index: int, low: int, destinations: np.ndarray, nonzero: np.ndarray) -> int:
        """Put as many neurons from `low` on a core as its limits allow; returns the first that is left."""
        group, used, limits = self.groups[index], self.used[core], self.limits
        reach, rest = np.cumsum(destinations[low:]), nonzero[:, low:]
        synapses = np.cumsum(group.synapses[low:])
        first = rest.argmax(axis=1)  # the first neuron each input reaches, if any
        first[~rest[np.arange(group.fan_in), first]] = group.neurons
        heard = self.feeds.get(group.source, {}).get(core, np.zeros(group.fan_in, bool))
        begins = np.sort(first[~heard])

        def cost(k: int) -> tuple[dict[str, float], bool]:
            size, sparse = block_bytes(group.fan_in, k, int(synapses[k - 1]), self.bits)
            axons = int(np.searchsorted(begins, k))
            return {
                "neurons": k,
                "synapse_bytes": size,
                "input_axons": axons,
                "output_axons": int(reach[k - 1]),
                **({"burden": k * self.burden.of_neuron[index]} if self.burden else {}),
            }, sparse

        def fits(k: int) -> bool:
            new, _ = cost(k)
            return all(limit is None or used[key] + new[key] <= limit for key, limit in limits.items())

        most, least = group.neurons - low, 0
        while least < most:  # every cost grows with k
            middle = (least + most + 1) // 2
            least, most = (middle, most) if fits(middle) else (least, middle - 1)
        if not least:
            return low
        new, sparse = cost(least)
        for key, value in new.items():
            used[key] += value
        if group.fan_in:
            self.feeds.setdefault(group.source, {})[core] = heard | (first < least)
        self.blocks.append(Block(index, low, low + least, core, int(new["synapse_bytes"]), sparse))
        return low + least

    def _refuse(self, group: Group, neuron: int, destinations: int, synapses: int) -> None:
        """Raise UserError for a neuron that an empty core cannot hold."""
        chip = self.chip
        size, _ = block_bytes(group.fan_in, 1, synapses, self.bits)
        one = f"{chip.name}: neuron {neuron} of {group.name!r}"
        if size > chip.synapse_bytes_per_core:
            room = chip.synapse_bytes_per_core * 8
            advice = [f"about --prune {ceil(100 * (1 - room / self.bits / group.fan_in)) / 100:g}"]
            if room // group.fan_in >= 2:
                advice.insert(0, f"--bits {room // group.fan_in}")
            raise UserError(
                f"{one} has {synapses:,} synapses of {size:,} bytes, {size - chip.synapse_bytes_per_core:,} more than "
                f"a core's {chip.synapse_bytes_per_core:,}; {' or '.join(advice)} would fit"
            )
        if chip.input_axons_per_core is not None and synapses > chip.input_axons_per_core:
            share = ceil(100 * (1 - chip.input_axons_per_core / group.fan_in)) / 100
            raise UserError(
                f"{one} hears {synapses:,} neurons, {synapses - chip.input_axons_per_core:,} more than a core's "
                f"{chip.input_axons_per_core:,} input axons; a fan-in of {chip.input_axons_per_core:,}, or about "
                f"--prune {share:g}, would fit"
            )
        assert chip.output_axons_per_core is not None
        raise UserError(
            f"{one} sends to {destinations:,} cores, {destinations - chip.output_axons_per_core:,} more than a core's "
            f"{chip.output_axons_per_core:,} output axons; a smaller model, or fewer --bits for fewer cores, would fit"
        )


def block_bytes(fan_in: int, k: int, synapses: int, bits: int) -> tuple[int, bool]:
    """Bytes of the synapses of k neurons, `synapses` of them not zero, in the smaller format, and whether that is the
    sparse one."""
    dense, sparse = fan_in * k * bits, synapses * (bits + (k - 1).bit_length())
    return -(-min(dense, sparse) // 8), sparse < dense
