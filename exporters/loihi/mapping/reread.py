"""A mapping read back from mapping.json, for the plan that it is of."""

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np

from exporters.loihi.mapping.chip import CHIPS, load_chip
from exporters.loihi.mapping.groups import Group, groups_of
from exporters.loihi.mapping.mapper import Mapping, placed
from exporters.loihi.mapping.partition import Block, Partition, block_bytes
from hw_sim.counts.counts import Counts
from hw_sim.plan import Plan
from spikegpt.documents import read_document
from spikegpt.errors import UserError


class _Held(msgspec.Struct):
    group: str
    neurons: tuple[int, int]


class _Core(msgspec.Struct):
    core: int
    chip: int
    place: int
    holds: list[_Held]


class _File(msgspec.Struct):
    chip: str
    weight_bits: int
    core_rows: list[_Core]


def read_mapping(path: Path, plan: Plan, counts: Counts) -> Mapping:
    """The mapping in a file, its traffic that of `counts`.

    Raises UserError for a chip that is not shipped, and for a file that does not hold each neuron of the plan once.
    """
    told = read_document(path, _File, "mapping.json of a Loihi export")
    chip = next((c for c in map(load_chip, CHIPS) if c.name == told.chip), None)
    if chip is None:
        raise UserError(f"{path}: a mapping onto {told.chip}, whose limits are not shipped")
    groups = groups_of(plan)
    number = {group.name: i for i, group in enumerate(groups)}
    rows = sorted(told.core_rows, key=lambda row: row.core)
    if [row.core for row in rows] != list(range(len(rows))):
        raise UserError(f"{path}: its cores are not numbered from 0")
    if any(not 0 <= row.place < chip.cores or not 0 <= row.chip < len(rows) for row in rows):
        raise UserError(f"{path}: a core that {chip.name} does not have")
    held = [(number.get(h.group, -1), *h.neurons, row.core) for row in rows for h in row.holds]
    covered = sorted((group, low, high) for group, low, high, _ in held)
    if covered != _whole(groups, covered):
        raise UserError(f"{path}: the mapping of another network: it does not hold each of its neurons once")
    blocks = tuple(_block(groups, told.weight_bits, *h) for h in sorted(held))
    parts = Partition(blocks, len(rows), _usage(blocks, len(rows)), _feeds(groups, blocks))
    places = np.array([row.chip * chip.cores + row.place for row in rows], np.int64)
    return placed(plan, chip, groups, parts, counts, places)


def _whole(groups: tuple[Group, ...], covered: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """`covered` cut anew so that each group is there from its first neuron to its last."""
    found = []
    for i, group in enumerate(groups):
        edges = sorted({0, group.neurons, *(high for g, _, high in covered if g == i and 0 < high < group.neurons)})
        found += [(i, low, high) for low, high in pairwise(edges)]
    return found


def _block(groups: tuple[Group, ...], bits: int, group: int, low: int, high: int, core: int) -> Block:
    held = groups[group]
    size, sparse = block_bytes(held.fan_in, high - low, int(held.synapses[low:high].sum()), bits)
    return Block(group, low, high, core, size, sparse)


def _usage(blocks: tuple[Block, ...], cores: int) -> dict[str, np.ndarray]:
    neurons = np.zeros(cores, np.int64)
    for block in blocks:
        neurons[block.core] += block.high - block.low
    return {"neurons": neurons}


def _feeds(groups: tuple[Group, ...], blocks: tuple[Block, ...]) -> dict[int, dict[int, np.ndarray]]:
    feeds: dict[int, dict[int, np.ndarray]] = {}
    for block in blocks:
        if groups[block.group].fan_in:
            reached = (groups[block.group].weights[:, block.low : block.high] != 0).any(axis=1)
            held = feeds.setdefault(groups[block.group].source, {})
            held[block.core] = held.get(block.core, np.zeros(len(reached), bool)) | reached
    return feeds
