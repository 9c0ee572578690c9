"""Graded values between neurons: counted as worked out by hand, core by core, and by the rule for a whole model."""

from itertools import pairwise

import nir
import numpy as np
import pytest
from msgspec.structs import replace

from exporters import nir as exporter
from exporters.loihi.mapping import load_chip, map_plan
from exporters.loihi.mapping.describe import facts, placement_of, table
from exporters.loihi.mapping.mapper import Mapping
from exporters.loihi.mapping.values import _Walk
from hw_sim import Simulator
from hw_sim.graph.extensions import Sigmoid
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from tests.conftest import OLD, lively_model
from tests.test_mapping import TINY, counts_of

LAYERS, WIDTH = 2, 24


def neurons(n: int) -> nir.LIF:
    one = np.ones(n)
    return nir.LIF(tau=exporter.DT * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


def test_values_go_from_the_neurons_of_a_sum_to_those_that_need_them_as_worked_out_by_hand():
    """Four spikes, four sums through a sigmoid into four LIFs, one sum for the host; four neurons a core."""
    nodes = {
        "token": nir.Input({"input": np.array([2])}),
        "embedding": nir.Linear(np.ones((4, 2), np.float32)),
        "lif0": neurons(4),
        "matrix0": nir.Linear(np.full((4, 4), 127, np.int8)),
        "scale": nir.Scale(np.full(4, 0.5)),
        "sigmoid": Sigmoid(np.array([4])),
        "lif1": neurons(4),
        "matrix1": nir.Linear(np.full((1, 4), 127, np.int8)),
        "scale1": nir.Scale(np.ones(1)),
        "out": nir.Output({"output": np.array([1])}),
    }
    plan = build(nir.NIRGraph(nodes, list(pairwise(nodes))))
    chip = replace(TINY, synapse_bytes_per_core=16, output_axons_per_core=None)
    mapping = map_plan(plan, chip, counts_of(lif0=[1, 1, 1, 1], lif1=[1, 1, 1, 1]))
    core = {(mapping.groups[b.group].name, j): b.core for b in mapping.partition.blocks for j in range(b.low, b.high)}
    by_hand = np.zeros_like(mapping.traffic)
    for j in range(4):  # the sigmoid runs in the neuron of its sum; what it gives goes to the LIF; ten tokens
        by_hand[core["matrix0", j], core["lif1", j]] += 10
    assert np.array_equal(mapping.values.traffic, by_hand)
    assert by_hand.sum() == 4 * 10
    assert len({core["matrix0", j] for j in range(4)} | {core["lif1", j] for j in range(4)}) > 1
    assert mapping.values.from_host == 4 * 10  # the embedding's values, to lif0
    assert mapping.values.to_host == 1 * 10
    assert mapping.values.steps == 4  # lif0, its sums, lif1 that they are sent to, its sum


def mapped(variant: str, tokens: np.ndarray, **limits: int) -> Mapping:
    plan = build(quantize(exporter.export(lively_model(variant, LAYERS, WIDTH))))
    return map_plan(plan, replace(load_chip("loihi2"), **limits), Simulator(plan).run(tokens))


@pytest.mark.parametrize("size", [131072, 700])
def test_a_models_graded_messages_are_those_of_the_rule(size, tokens):
    mapping = mapped(OLD, tokens, synapse_bytes_per_core=size)
    core: dict[str, list[int]] = {}
    for b in mapping.partition.blocks:
        core.setdefault(mapping.groups[b.group].name, []).extend([b.core] * (b.high - b.low))
    order = [g.name for g in mapping.groups]
    gates = [max((f"block{i}_ffn_value", f"block{i}_ffn_receptance"), key=order.index) for i in range(LAYERS)]
    homes = [name for i in range(LAYERS) for name in (f"block{i}_att_output", gates[i])]  # of the residual stream
    sent = 0
    for i in range(LAYERS):
        # Three LIF inputs (of the first block from the host), k to v or v to k, that to r or r to that, the gated sum
        # to the LIF of the output; two LIF inputs, value to receptance or receptance to value.
        sent += ((3 if i else 0) + 3 + 2 + 1) * WIDTH
    for home, following in zip(homes, [*homes[1:], None], strict=True):
        normed = set(core[home])  # the LayerNorm behind it needs all values on each of these cores
        sent += WIDTH * len(normed)
        sent += sum(target not in normed for target in core[following]) if following else 0  # once a core, not twice
    expected = sent * len(tokens)
    assert mapping.values.traffic.sum() == expected
    assert mapping.values.from_host == 4 * WIDTH * len(tokens)
    assert mapping.values.to_host == WIDTH * len(tokens)
    assert (mapping.partition.cores == 1) == (size == 131072)
    described = facts(mapping, {})
    assert described["traffic"]["graded"]["messages"] == expected
    assert described["placement"]["graded_messages_per_token"] == expected / len(tokens)
    assert "graded messages between custom neurons" in table(described)
    assert placement_of(mapping).messages_per_token == mapping.traffic.sum() / len(tokens)


def test_a_spike_that_no_synapse_weighs_is_sent_when_it_fires():
    nodes = {
        "token": nir.Input({"input": np.array([2])}),
        "embedding": nir.Linear(np.ones((2, 2), np.float32)),
        "lif0": neurons(2),
        "matrix0": nir.Linear(np.full((3, 2), 127, np.int8)),
        "lif1": neurons(3),
        "out": nir.Output({"output": np.array([3])}),
    }
    plan = build(nir.NIRGraph(nodes, list(pairwise(nodes))))
    mapping = map_plan(plan, TINY, counts_of(lif0=[4, 4], lif1=[1, 0, 2]))
    assert mapping.values.to_host == 1 + 0 + 2
    assert mapping.values.from_host == 2 * 10
    assert mapping.values.traffic.sum() == 0  # the sum is read in the neuron it ends in


def test_places_are_chosen_for_graded_values_only_where_the_chip_sends_any(tokens):
    binary, graded = (mapped("spike-driven", tokens, synapse_bytes_per_core=700, message_bits=b) for b in (0, 24))
    total = [m.hops.ew + m.hops.ns + m.value_hops.ew + m.value_hops.ns for m in (binary, graded)]
    assert total[1] < total[0]
    assert binary.hops.ew + binary.hops.ns < graded.hops.ew + graded.hops.ns


def test_what_the_host_makes_of_spikes_is_there_a_step_later():
    """Spikes, summed by a pool and weighed on the host, reach the next neurons two messages behind."""
    nodes = {
        "token": nir.Input({"input": np.array([2])}),
        "embedding": nir.Linear(np.ones((4, 2), np.float32)),
        "lif0": neurons(4),
        "matrix0": nir.Linear(np.full((4, 4), 127, np.int8)),
        "lif1": neurons(4),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "matrix1": nir.Linear(np.full((3, 1), 127, np.int8)),
        "lif2": neurons(3),
        "out": nir.Output({"output": np.array([3])}),
    }
    nodes["pool"].input_type = {"input": np.array([1, 2, 2])}
    nodes["pool"].output_type = {"output": np.array([1, 1, 1])}
    plan = build(nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False))
    found = map_plan(plan, TINY, counts_of(lif0=[1] * 4, lif1=[1, 2, 0, 4], lif2=[1] * 3)).values
    assert found.layers == {"lif0": 0, "lif1": 1, "lif2": 2}
    assert found.steps == 3
    assert found.to_host == 1 + 2 + 0 + 4 + 3 * 1
    assert found.from_host == 10 * (4 + 3)


def test_the_last_value_counts_though_what_follows_takes_its_memory(monkeypatch):
    """A norm of sums hears them a step behind; the logits of a head on the host lie where its values lay."""
    seen = []
    make = _Walk._make

    def spied(walk, y, neurons, step, often=None):
        make(walk, y, neurons, step, often)
        seen.append(int(walk.step[y : y + len(neurons)].max()))

    monkeypatch.setattr(_Walk, "_make", spied)
    found = mapped(OLD, np.arange(40)).values
    assert found.steps == 1 + max(seen[len(seen) // 2 :])  # the second of two walks
    assert found.steps > 1 + max(found.layers.values())
