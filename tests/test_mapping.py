"""The mapping: every neuron placed once within the limits, traffic as a brute-force walk counts it, clear refusals."""

import json
from itertools import pairwise

import nir
import numpy as np
import pytest
import yaml
from msgspec.structs import asdict, replace

from exporters import nir as exporter
from exporters.loihi.mapping import CHIPS, Chip, load_chip, map_plan
from exporters.loihi.mapping.describe import facts, footprint, table
from exporters.loihi.mapping.groups import groups_of, weight_bits
from exporters.loihi.mapping.improve import improve
from exporters.loihi.mapping.mesh import hops_of, links_of, xy_route
from exporters.loihi.mapping.partition import partition
from hw_sim import Simulator
from hw_sim.counts.counts import Counts, PopulationCount
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan import Plan
from spikegpt import UserError
from tests.conftest import OLD, VOCAB, lively_model

TINY = Chip(
    name="Tiny",
    source="this test",
    grade="invented",
    cores=4,
    neurons_per_core=4,
    synapse_bytes_per_core=8,
    weight_bits=8,
    input_axons_per_core=4,
    output_axons_per_core=6,
    message_bits=0,
    cores_per_tile=1,
    mesh_columns=2,
    mesh_rows=2,
)


def chain(*weights: np.ndarray) -> Plan:
    """Spikes through matrices (n_out, n_in) int8, with a LIF before each; the last one's sums are handed out."""

    def neurons(n):
        one = np.ones(n)
        return nir.LIF(tau=exporter.DT * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)

    n = weights[0].shape[1]
    nodes = {"token": nir.Input({"input": np.array([2])}), "embedding": nir.Linear(np.ones((n, 2), np.float32))}
    for i, weight in enumerate(weights):
        nodes |= {f"lif{i}": neurons(weight.shape[1]), f"matrix{i}": nir.Linear(weight.astype(np.int8))}
    nodes["scale"] = nir.Scale(np.ones(len(weights[-1])))
    nodes["out"] = nir.Output({"output": np.array([len(weights[-1])])})
    return build(nir.NIRGraph(nodes, list(pairwise(nodes))))


def counts_of(**fired: list[int]) -> Counts:
    return Counts((), tuple(PopulationCount(k, np.array(v, np.int64), 0, 10) for k, v in fired.items()))


def full(n_out: int, n_in: int) -> np.ndarray:
    return np.full((n_out, n_in), 127)


def test_a_small_network_is_placed_as_worked_out_by_hand():
    """4 inputs, 4 hidden neurons of 4 bytes each, 2 sums of 4 bytes: 8 bytes a core take two and one."""
    mapping = map_plan(chain(full(4, 4), full(2, 4)), TINY, counts_of(lif0=[1, 2, 3, 4], lif1=[5, 6, 7, 8]))
    held = {(mapping.groups[b.group].name, b.low, b.high): b.core for b in mapping.partition.blocks}
    assert held == {
        ("lif0", 0, 2): 1, ("lif0", 2, 4): 0, ("lif1", 0, 2): 1, ("lif1", 2, 4): 0, ("matrix1", 0, 2): 2,
    }  # fmt: skip
    usage = {key: values.tolist() for key, values in mapping.partition.usage.items()}
    assert usage == {
        "neurons": [4, 4, 2], "synapse_bytes": [8, 8, 8], "input_axons": [4, 4, 4], "output_axons": [6, 6, 0],
    }  # fmt: skip
    assert mapping.traffic.tolist() == [[7, 7, 15], [3, 3, 11], [0, 0, 0]]
    # Cores 0, 1, 2 at (0, 0), (0, 1), (1, 0): 15 + 11 go along x, 7 + 3 + 11 along y.
    assert (mapping.hops_before.ew, mapping.hops_before.ns) == (26, 21)
    # At best the pair that talks least, 10 messages, lies across: 15 + 11 + 2 * 10.
    assert mapping.hops.ew + mapping.hops.ns == 46
    assert mapping.chips == 1
    assert mapping.tokens == 10


def random_cases():
    rng = np.random.default_rng(7)
    for _ in range(12):
        sizes = rng.integers(3, 40, int(rng.integers(2, 5)))
        weights = [rng.integers(-7, 8, (b, a)) * (rng.random((b, a)) < rng.choice([0.05, 0.4, 1])) for a, b in
                   pairwise(sizes)]  # fmt: skip
        chip = replace(
            TINY,
            cores=16,
            mesh_columns=4,
            mesh_rows=2,
            cores_per_tile=2,
            neurons_per_core=int(rng.integers(5, 60)),
            synapse_bytes_per_core=int(rng.integers(40, 300)),
            input_axons_per_core=int(rng.integers(40, 60)),
            output_axons_per_core=int(rng.integers(30, 90)),
        )
        yield chip, weights, [rng.integers(0, 9, w.shape[1]).tolist() for w in weights]


@pytest.mark.parametrize("chip, weights, fired", list(random_cases()))
def test_every_neuron_is_placed_once_within_the_limits_and_traffic_is_the_walk_of_every_spike(chip, weights, fired):
    plan = chain(*weights)
    mapping = map_plan(plan, chip, counts_of(**{f"lif{i}": f for i, f in enumerate(fired)}))
    groups, parts, bits = mapping.groups, mapping.partition, weight_bits(plan)
    core_of = [np.full(g.neurons, -1) for g in groups]
    for b in parts.blocks:
        assert (core_of[b.group][b.low : b.high] == -1).all()
        core_of[b.group][b.low : b.high] = b.core
    assert all((cores >= 0).all() for cores in core_of)
    used = {key: np.zeros(parts.cores, int) for key in parts.usage}
    ears, mouths, traffic = set(), set(), np.zeros_like(mapping.traffic)
    for g, group in enumerate(groups):
        np.add.at(used["neurons"], core_of[g], 1)
        for i, j in np.argwhere(group.weights):
            ears.add((core_of[g][j], group.source, i))
            mouths.add((core_of[group.source][i], group.source, i, core_of[g][j]))
    for core, *_ in ears:
        used["input_axons"][core] += 1
    for core, source, i, target in mouths:
        used["output_axons"][core] += 1
        traffic[core, target] += fired[source][i]
    for b in parts.blocks:
        block = groups[b.group].weights[:, b.low : b.high]
        index = (b.high - b.low - 1).bit_length()
        used["synapse_bytes"][b.core] += -(-min(block.size * bits, np.count_nonzero(block) * (bits + index)) // 8)
    for key, limit in chip.limits.items():
        assert used[key].tolist() == parts.usage[key].tolist()
        assert used[key].max() <= limit
    assert np.array_equal(traffic, mapping.traffic)
    assert mapping.chips == -(-parts.cores // chip.cores)
    assert len(set(mapping.places.tolist())) == parts.cores
    assert mapping.places.max() < mapping.chips * chip.cores


def test_hops_and_links_are_those_of_walking_each_message():
    chip = replace(TINY, cores=12, cores_per_tile=2, mesh_columns=3, mesh_rows=2)
    rng = np.random.default_rng(1)
    traffic, places = rng.integers(0, 5, (20, 20)), rng.permutation(24)[:20]
    ew = ns = crossings = elsewhere = 0
    walked: dict = {}
    for i, j in np.argwhere(traffic):
        tiles = []
        for place in (places[i], places[j]):
            tile = place % 12 // 2
            tiles.append((int(place // 12) * 3 + int(tile) // 2, int(tile) % 2))
        route = xy_route(*tiles)
        assert (route[0], route[-1]) == tuple(tiles)
        n = traffic[i, j]
        elsewhere += n * (places[i] // 12 != places[j] // 12)
        for a, b in pairwise(route):
            walked[a, b] = walked.get((a, b), 0) + n
            border = {a[0], b[0]} == {2, 3}
            crossings, ew, ns = crossings + n * border, ew + n * (a[1] == b[1] and not border), ns + n * (a[0] == b[0])
    hops = hops_of(traffic, chip, places)
    assert (hops.ew, hops.ns, hops.chip_crossings, hops.inter_chip_messages) == (ew, ns, crossings, elsewhere)
    assert links_of(traffic, chip, places) == walked


def test_two_tiles_of_loihi_1_are_as_far_apart_as_its_mesh_says():
    """Core 4 is tile 1 at (0, 1), core 100 tile 25 at (6, 1); core 127 tile 31 at (7, 3)."""
    traffic = np.zeros((128, 128), np.int64)
    traffic[4, 100], traffic[0, 127] = 5, 1
    hops = hops_of(traffic, load_chip("loihi1"), np.arange(128))
    assert (hops.ew, hops.ns) == (5 * 6 + 7, 3)


def test_better_places_are_a_permutation_that_costs_no_more():
    chip = replace(load_chip("loihi1"), cores=32, mesh_columns=4, mesh_rows=2)
    traffic = np.random.default_rng(2).integers(0, 100, (40, 40))
    places = improve(traffic, chip, 2)
    assert sorted(set(places.tolist())) == sorted(places.tolist())
    before, after = (hops_of(traffic, chip, p) for p in (np.arange(40), places))
    assert after.ew + after.ns + 17 * after.chip_crossings < before.ew + before.ns + 17 * before.chip_crossings


@pytest.mark.parametrize(
    "change, weights, message",
    [
        ({"message_bits": 16}, [full(2, 4)], "24 bits, 8 more than the 16 of a message"),
        ({"weight_bits": 6}, [full(2, 4)], "weights of 8 bits, 2 more than a synapse holds; --bits 6 would fit"),
        ({}, [full(1, 12)], "12 synapses of 12 bytes, 4 more than a core's 8; --bits 5 or about --prune 0.34 would"),
        ({"input_axons_per_core": 3}, [full(2, 4)], "hears 4 neurons, 1 more than a core's 3 input axons"),
        ({"output_axons_per_core": 3}, [full(8, 4)], "sends to 4 cores, 1 more than a core's 3 output axons"),
    ],
)
def test_what_does_not_fit_is_named_with_its_excess_and_what_would(change, weights, message):
    with pytest.raises(UserError, match="Tiny: ") as refusal:
        map_plan(chain(*weights), replace(TINY, **change), counts_of(lif0=[1] * weights[0].shape[1]))
    assert message in str(refusal.value)


def test_pruning_or_fewer_bits_as_advised_do_fit():
    chip = replace(TINY, input_axons_per_core=None)
    pruned = full(1, 12)
    pruned[0, : int(0.34 * 12)] = 0
    for weights in (pruned, full(1, 12) // 9):  # 127 // 9 = 14: 5 bits
        mapping = map_plan(chain(weights), chip, counts_of(lif0=[1] * 12))
        assert mapping.partition.usage["synapse_bytes"].max() == 8


def test_more_chips_than_given_are_refused_with_what_would_fit():
    plan, counts = chain(full(40, 4)), counts_of(lif0=[1, 1, 1, 1])
    chip = replace(TINY, output_axons_per_core=None, message_bits=24)
    cores = map_plan(plan, chip, counts).partition.cores
    assert map_plan(plan, chip, counts, chips=-(-cores // 4)).chips == -(-cores // 4)
    with pytest.raises(
        UserError, match=f"{cores} cores are needed, {cores - 12} more than the 12 of 3 chip"
    ) as refusal:
        map_plan(plan, chip, counts, chips=3)
    bits = int(str(refusal.value).split("--bits ")[1].split()[0])
    assert partition(groups_of(plan), chip, bits).cores <= 12
    assert partition(groups_of(plan), chip, bits + 1).cores > 12


def test_same_plan_gives_the_same_json_and_table(spiking_model, tokens):
    plan = build(quantize(exporter.export(spiking_model)))
    counts = Simulator(plan).run(tokens)
    chip = replace(load_chip("loihi1"), synapse_bytes_per_core=400)
    first, second = (facts(map_plan(plan, chip, counts), {}) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    assert first["cores"] > 30
    text = table(first)
    assert text.count("\n") > first["cores"]
    assert f"{first['cores']} cores on 1 chip(s)" in text


@pytest.mark.parametrize("variant", ["spike-driven", OLD, "canonical", "continuous"])
def test_what_no_spikes_feed_stays_off_the_chip(variant, tokens):
    plan = build(quantize(exporter.export(lively_model(variant))))
    described = facts(map_plan(plan, load_chip("loihi2"), Simulator(plan).run(tokens)), {})
    new, driven = variant == "spike-driven", variant in ("spike-driven", OLD)
    assert "embedding" in described["off_chip"]
    assert ("head" in described["off_chip"]) != new
    assert ("block0_att_key" in described["off_chip"]) != driven
    assert described["synapses"] == (2 * 13 * 24 * 24 if driven else 0) + (24 * VOCAB if new else 0)
    assert described["graded_neurons"] == (2 * 6 * 24 if driven else 0) + (VOCAB if new else 0)
    lifs = {"spike-driven": 2 * 10 * 24 + 24, OLD: 2 * 10 * 24, "canonical": 2 * 2 * 24, "continuous": 0}[variant]
    assert described["neurons"] == lifs + described["graded_neurons"]
    assert table(described)


def test_a_chip_of_very_many_cores_costs_no_more_to_map(spiking_model, tokens):
    plan = build(quantize(exporter.export(spiking_model)))
    huge = replace(load_chip("loihi2"), cores=200_000, mesh_columns=1000, mesh_rows=50)
    assert map_plan(plan, huge, Simulator(plan).run(tokens)).partition.cores == 1


def test_a_footprint_says_why_a_plan_does_not_fit(spiking_model, tokens, tmp_path):
    plan = build(quantize(exporter.export(spiking_model)))
    result = Simulator(plan).run(tokens)
    assert footprint(plan, "loihi2", result, {}).placement.cores == 1
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(chip_values() | {"synapse_bytes_per_core": 20}))
    found, placement, _ = footprint(plan, str(path), result, {})
    assert (found["cores"], placement) == (None, None)
    assert "more than a core's 20" in found["note"]


def chip_values() -> dict:
    return asdict(load_chip("loihi1"))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"cores": 0}, "Expected `int` >= 1 - at `$.cores`"),
        ({"cores": True}, "Expected `int`, got `bool` - at `$.cores`"),
        ({"name": 3}, "Expected `str`, got `int` - at `$.name`"),
        ({"cores": 129}, "129 cores do not fit the mesh, whose tiles hold 128"),
        ({"neurons_per_core": None}, "Expected `int`, got `null` - at `$.neurons_per_core`"),
        ({"colour": "blue"}, "unknown field `colour`"),
        ({1: 2}, "Expected `str`"),
    ],
)
def test_a_users_chip_is_checked_field_by_field(change, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(chip_values()))
    assert load_chip(str(path)) == load_chip("loihi1")
    path.write_text(yaml.safe_dump(chip_values() | change))
    with pytest.raises(UserError, match=r"mine\.yaml") as refusal:
        load_chip(str(path))
    assert message in str(refusal.value)


def test_unknown_chips_are_refused(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [")
    for name, message in (("abacus", "not one of loihi1, loihi2"), ("none.yaml", "no such file"),
                          (str(tmp_path / "broken.yaml"), "not YAML")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            load_chip(name)
    assert all(load_chip(name).cores for name in CHIPS)
