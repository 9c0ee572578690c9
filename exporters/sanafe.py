"""A mapped network for SANA-FE 2.2.9 (J. Boyle et al., IEEE TCAD 2025): our times and joules, repeated by another tool.

`arch.yaml` is its Loihi 1 with our price table and times; `network.yaml` the network on its cores, whose neurons fire
as they did on the text, a token beginning at every step; `run.py` runs both. SANA-FE's neurons cannot compute this
network, so they replay: it counts messages, synapses, hops and time of them by itself. Its replaying neurons refuse a
current, so synapses carry 0 (neither time nor energy depends on the weight), and they update only when they fire, so
what an access costs holds the update, which Loihi does at every step.
"""

import json
from collections.abc import Iterator
from collections.abc import Mapping as Named
from pathlib import Path

import nir
import numpy as np
import yaml

from exporters.loihi.cost import recorded
from exporters.loihi.mapping import load_chip, map_plan
from exporters.loihi.mapping.describe import placement_of
from exporters.loihi.mapping.mapper import Mapping
from exporters.loihi.mapping.partition import Block
from exporters.loihi.mapping.timing import run_of
from exporters.loihi.mapping.work import Times, times_of
from exporters.loihi.settings import REPLAYED, Settings
from hw_sim.energy.price import price
from hw_sim.energy.profiles import Prices, shipped
from hw_sim.energy.work import AC, MatrixWork, Work
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan.checks import check_membranes
from spikegpt.errors import UserError

PRICES = "loihi1-silicon"
SYNAPSES = "dense", "sparse"
LINKS = 16  # messages that wait at a link: not looked at by the simple timing model
MOST = 4096  # tokens replayed
RUN = '''"""SANA-FE 2.2.9 on the files of this folder: pip install sanafe==2.2.9 && python run.py"""

import json
from pathlib import Path

import sanafe

here = Path(__file__).parent
expected = json.loads((here / "expected.json").read_text())
architecture = sanafe.load_arch(here / "arch.yaml")
chip = sanafe.SpikingChip(architecture)
chip.load(sanafe.load_net(here / "network.yaml", architecture))
found = chip.sim(expected["steps"], timing_model="simple")
print(f"{'':9}{'SANA-FE':>14}{'spikegpt':>14}")
print(f"{'time, s':9}{found['sim_time']:14.6e}{expected['time_s']:14.6e}")
print(f"{'spikes':9}{found['neurons_fired']:14,}{expected['spikes']:14,}")
print(f"{'messages':9}{found['packets_sent']:14,}{expected['messages_out']:14,}")
print(f"{'energy, J':9}{found['energy']['total']:14.6e}{expected['energy_j']:14.6e}")
'''


def write_sanafe(graph: nir.NIRGraph, folder: Path, settings: Settings) -> dict:
    """Quantise and map `graph`, fill `folder`; returns what the manifest says of it. Raises UserError on a broken
    limit, for a chip without published times and for more than one chip, of which SANA-FE's Loihi is one."""
    chip = load_chip(settings.chip)
    times = times_of(chip.name)
    if times is None:
        raise UserError(f"{settings.chip}: no times of {chip.name} are published; SANA-FE has Loihi 1: --chip loihi1")
    plan = build(quantize(graph, settings.bits, settings.prune))
    check_membranes(plan)
    asked = len(settings.text.tokens) if settings.text else plan.n_vocab if settings.recording else REPLAYED
    if asked > MOST:
        raise UserError(f"{asked:,} tokens to replay: over {MOST:,} the files take gigabytes; name fewer --tokens")
    found = recorded(plan, settings, asked)
    mapping = map_plan(plan, chip, found, settings.chips)
    if not any(group.fan_in for group in mapping.groups):
        raise UserError(f"no matrix of this model reads spikes on {chip.name}: there is nothing to replay")
    if mapping.chips > 1:
        raise UserError(f"{mapping.partition.cores:,} cores are needed, SANA-FE's {chip.name} has {chip.cores}")
    prices = shipped()[PRICES].precisions["chip"]
    (folder / "arch.yaml").write_text(architecture(mapping, times, prices), "utf-8")
    with (folder / "network.yaml").open("w", encoding="utf-8") as file:
        file.writelines(network(mapping, pipelined(mapping, found.spikes)))
    expected = expected_of(mapping, found.spikes, times)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", "utf-8")
    (folder / "run.py").write_text(RUN, "utf-8")
    told = f"{mapping.tokens:,} tokens in {expected['time_s'] * 1e6:,.1f} us and {expected['energy_j'] * 1e6:,.1f} uJ"
    return {"mapping": {"summary": f"{chip.name}, modelled: {told}; run.py repeats it in SANA-FE"}, "sanafe": expected}


def expected_of(mapping: Mapping, spikes: Named[str, np.ndarray], times: Times) -> dict[str, float]:
    """Our time, joules and exact counts of the whole replay; the mapping's counts are of the same tokens."""
    run = run_of(mapping, spikes, times)
    updates, synapses = int(run["neuron_updates"]), int(run["dense_synapses"] + run["sparse_synapses"])
    body = MatrixWork("body", AC, synapses, synapses, synapses, 1)
    work = Work("replay", mapping.tokens, (body,), {}, {}, (), True, updates, updates, int(run["spikes"]))
    bill = price(work, shipped()[PRICES], "chip", placement=placement_of(mapping))
    assert bill is not None
    return {**run, "hops_ew": mapping.hops.ew, "hops_ns": mapping.hops.ns, "energy_j": bill.total_j * mapping.tokens}


def pipelined(mapping: Mapping, spikes: Named[str, np.ndarray]) -> dict[int, np.ndarray]:
    """Spikes (steps, neurons) by group, where a token begins at every step."""
    layers, steps = mapping.values.layers, mapping.values.steps
    found = {}
    for index, group in enumerate(mapping.groups):
        if group.population is not None:
            train = spikes[group.population]
            late = layers[group.population]
            found[index] = np.pad(train, ((late, steps - 1 - late), (0, 0)))
    return found


def architecture(mapping: Mapping, times: Times, prices: Prices) -> str:
    """SANA-FE's description of the chip, with our prices and times."""
    chip = mapping.chip
    hops = {
        f"energy_{way}_hop": price
        for price, ways in ((prices.hop_ns_j, ("north", "south")), (prices.hop_ew_j, ("east", "west")))
        for way in ways
    } | {f"latency_{way}_hop": 0.0 for way in ("north", "south", "east", "west")}
    neuron = {
        "model": "input",
        "energy_access_neuron": prices.neuron_active_j,
        "latency_access_neuron": times.neuron_s,
        "energy_update_neuron": 0.0,
        "latency_update_neuron": 0.0,
        "energy_spike_out": prices.spike_j,
        "latency_spike_out": times.spike_s,
    }
    synapses = [
        {
            "name": name,
            "attributes": {
                "model": "current_based",
                "energy_process_spike": prices.ac_j,
                "latency_process_spike": each,
            },
        }
        for name, each in zip(SYNAPSES, (times.dense_synapse_s, times.sparse_synapse_s), strict=True)
    ]
    dendrite = {"model": "accumulator", "energy_update": 0.0, "latency_update": 0.0}
    core = {
        "name": f"core[0..{chip.cores_per_tile - 1}]",
        "attributes": {"buffer_position": "soma", "buffer_inside_unit": False,
                       "max_neurons_supported": chip.neurons_per_core},
        "axon_in": [
            {"name": "in", "attributes": {"energy_message_in": 0.0, "latency_message_in": times.message_in_s}}
        ],
        "synapse": synapses,
        "dendrite": [{"name": "sums", "attributes": dendrite}],
        "soma": [{"name": f"replay[0..{chip.neurons_per_core - 1}]", "attributes": neuron}],
        "axon_out": [{"name": "out", "attributes": {"energy_message_out": prices.message_j,
                                                     "latency_message_out": times.message_out_s}}],
    }  # fmt: skip
    tiles = chip.mesh_columns * chip.mesh_rows
    told = {
        "architecture": {
            "name": "loihi",
            "attributes": {"topology": "mesh", "width": chip.mesh_columns, "height": chip.mesh_rows,
                           "link_buffer_size": LINKS, "sync_model": "table", "latency_sync": times.barrier_s},
            "tile": [{"name": f"tile[0..{tiles - 1}]", "attributes": hops, "core": [core]}],
        }
    }  # fmt: skip
    return f"# Times: {times.source}\n# Joules: profile {PRICES}\n" + yaml.safe_dump(told, sort_keys=False)


def network(mapping: Mapping, firing: Named[int, np.ndarray]) -> Iterator[str]:
    """The lines of SANA-FE's network: a group a block, its neurons' spikes by step, its synapses, and where it lies."""
    blocks = mapping.partition.blocks
    yield "network:\n  name: replay\n  groups:\n"
    for block in blocks:
        yield f"    - name: {_name(block)}  # {json.dumps(mapping.groups[block.group].name)}\n"
        yield f"      attributes: [synapse_hw_name: {SYNAPSES[block.sparse]}]\n      neurons:\n"
        train = firing.get(block.group)
        for n in range(block.low, block.high):
            yield f"        - {n - block.low}: [spikes: {[] if train is None else train[:, n].tolist()}]\n"
    yield "  edges:\n"
    for target in blocks:
        source = mapping.groups[target.group].source
        for block in (b for b in blocks if b.group == source):
            yield from _edges(mapping, block, target)
    yield "mappings:\n"
    used = np.zeros(mapping.partition.cores, np.int64)
    for block in blocks:
        tile, core = divmod(int(mapping.places[block.core]), mapping.chip.cores_per_tile)
        for n in range(block.high - block.low):
            yield f'  - {_name(block)}.{n}: [core: {tile}.{core}, soma: "replay[{used[block.core]}]"]\n'
            used[block.core] += 1


def _edges(mapping: Mapping, block: Block, target: Block) -> Iterator[str]:
    """Synapses from one block to another: of a dense one all that an input has, where it has any."""
    there = mapping.groups[target.group].weights[block.low : block.high, target.low : target.high] != 0
    held = there if target.sparse else np.broadcast_to(there.any(axis=1, keepdims=True), there.shape)
    if held.all():
        yield f"    - {_name(block)} -> {_name(target)}: [type: dense, weight: {[0] * held.size}]\n"
    else:
        for i, j in np.argwhere(held).tolist():
            yield f"    - {_name(block)}.{i} -> {_name(target)}.{j}: [weight: 0]\n"


def _name(block: Block) -> str:
    return f"g{block.group}_{block.low}"
