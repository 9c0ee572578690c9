"""Counters of others on the same models: equal where they are right, and shown to differ where they are not."""

import numpy as np
import pytest
import torch
from torch import nn

import hw_sim
from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.energy import work
from hw_sim.energy.schema import Shape
from hw_sim.energy.shapes import gpt
from tests.conftest import VOCAB, lively_model

op_counter = pytest.importorskip("spikingjelly.activation_based.op_counter")


def counted(function) -> dict[str, int]:
    """SpikingJelly's synaptic operations and multiply-accumulates of what a function runs."""
    counters = {"synops": op_counter.SynOpCounter(), "macs": op_counter.MACCounter()}
    with op_counter.DispatchCounterMode(list(counters.values())), torch.no_grad():
        function()
    return {name: counter.get_total() for name, counter in counters.items()}


@pytest.mark.parametrize("variant", ["spike-driven", "canonical", "continuous"])
def test_synaptic_operations_are_those_that_spikingjelly_counts(variant, tokens):
    model = lively_model(variant)
    theirs = counted(lambda: model(torch.from_numpy(tokens)[None]))
    ours = Simulator.from_nir(exporter.export(model)).run(tokens)
    assert ours.synops == theirs["synops"]
    assert (ours.synops > 0) == (variant == "spike-driven")
    silent = {m.name: m.dense - m.effective for m in ours.matrices if not m.spike_fed}
    assert ours.macs + sum(silent.values()) == theirs["macs"]  # it does not skip the zeros behind relu^2, we do
    if variant != "spike-driven":
        assert sum(n for name, n in silent.items() if name.endswith("ffn_value")) > 0


def test_attention_is_counted_which_spikingjelly_leaves_out():
    t, d, heads = 16, 128, 2
    q = torch.randn(1, heads, t, d // heads)
    theirs = counted(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q))
    assert theirs["macs"] == 0
    attention = [m for m in gpt("gpt", Shape(1, d, VOCAB), t).matrices if m.name.endswith("attention")]
    assert [m.effective for m in attention] == [2 * t * d]


def test_sums_stay_exact_where_float32_sums_do_not():
    """NeuroBench 2.3.0 adds in float32, whose whole numbers end at 2^24."""
    parts = [work.MatrixWork(f"m{i}", work.AC, (1 << 22) + 1, 1 << 23, 1 << 23) for i in range(9)]
    exact = work.Work("w", 1, tuple(parts), {}, {}, (), True).acs
    assert exact == 9 * ((1 << 22) + 1)
    rough = np.float32(0)
    for part in parts:
        rough = np.float32(rough + np.float32(part.effective))
    assert int(rough) != exact


def test_a_real_convolution_multiplies_no_padding_and_no_zero_which_spikingjelly_counts():
    """By hand: each of 4 inputs meets 4 taps of a 3 x 3 kernel with padding 1; one of them is 0."""
    conv, x = nn.Conv2d(1, 1, 3, padding=1), torch.tensor([[[[0.5, 0.0], [0.25, 0.7]]]])
    ours = hw_sim.count(conv, x)
    assert (ours.total("dense"), ours.total("macs")) == (4 * 4, 3 * 4)
    assert counted(lambda: conv(x))["macs"] == 4 * 9


def test_binary_weights_on_real_inputs_are_no_spikes_which_spikingjelly_takes_them_for():
    """By hand: 3 real inputs to 2 outputs are 6 MACs, whatever the weights are; theirs are 3 SynOps and no MAC."""
    layer, x = nn.Linear(3, 2, bias=False), torch.tensor([[0.5, 0.2, 0.3]])
    layer.weight.data = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    assert hw_sim.count(layer, x).total("macs") == 6
    assert counted(lambda: layer(x)) == {"synops": 3, "macs": 0}


def test_spikes_through_a_convolution_count_as_spikingjelly_does():
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    x = (torch.rand(2, 4, 9, 8) < 0.2).float()
    assert hw_sim.count(conv, x).total("accumulates") == counted(lambda: conv(x))["synops"] > 0


@pytest.mark.parametrize("stride, taps, lemaire, neuromc", [(1, 4, 9, 16 * 9), (2, 1, 4, 4 * 9)])
def test_a_spike_in_a_corner_meets_fewer_taps_than_estimates_take(stride, taps, lemaire, neuromc):
    """By hand: one spike in the corner of a 4 x 4 image, 3 x 3 kernel, padding 1: 4 of its taps exist, with stride 2
    one. SpikingJelly's simple estimate says so too; Lemaire's formula takes ceil(kernel / stride) along each axis as if
    there were no border, and NeuroMC's is dense, padding with it."""
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0] = 1
    conv = nn.Conv2d(1, 5, 3, stride=stride, padding=1)
    assert hw_sim.count(conv, x).total("accumulates") == 5 * taps
    assert op_counter.estimate_simple_energy(conv, x).counts["synop"] == 5 * taps
    assert op_counter.estimate_lemaire_energy(conv, x).counts["synop"] == 5 * lemaire
    assert op_counter.estimate_neuromc_runtime_energy(conv, x).primitive_counts["totals"]["mac"] == 5 * neuromc


def neurobench(layer: nn.Module, x: torch.Tensor) -> tuple[int, bool, int]:
    """What NeuroBench's SynapticOperations adds up for a layer: effective, whether as accumulates, dense."""
    layers = pytest.importorskip("neurobench.metrics.utils.layers")
    with torch.no_grad():
        effective, spiking = layers.single_layer_MACs(x, layer)
        return effective, spiking, layers.single_layer_MACs(x, layer, total=True)[0]


def test_a_convolution_of_spikes_counts_as_neurobench_does():
    torch.manual_seed(0)
    conv, x = nn.Conv2d(2, 3, 3, padding=1), (torch.rand(1, 2, 5, 5) < 0.3).float()
    ours = hw_sim.count(conv, x)
    assert neurobench(conv, x) == (ours.total("accumulates"), True, ours.total("dense"))


def test_a_real_layer_that_happens_to_send_ones_still_multiplies_which_neurobench_does_not_see():
    """By hand: a ReLU of 1 + 0 x sends ones to 3 x 2 weights; nothing but the values makes them spikes."""
    first, last = nn.Linear(2, 3), nn.Linear(3, 2)
    first.weight.data[:], first.bias.data[:] = 0, 1
    net = nn.Sequential(first, nn.ReLU(), last)
    x = torch.tensor([[0.5, 0.2]])
    found = {layer.name: layer for layer in hw_sim.count(net, x).layers}["2"]
    assert (found.macs, found.accumulates, found.values) == (6, 0, "binary")
    assert neurobench(last, torch.relu(first(x)))[:2] == (6, True)


def test_a_negative_input_is_graded_which_neurobench_takes_for_a_spike():
    layer, x = nn.Linear(3, 2, bias=False), torch.tensor([[1.0, -1, 0]])
    assert hw_sim.count(layer, x).total("graded") == 4
    assert neurobench(layer, x)[1]


def test_a_layer_beyond_the_whole_numbers_of_float32_is_exact_here_and_not_in_neurobench():
    """By hand: 4099 spikes to 4097 outputs, an odd number above 2^24, which float32 does not hold."""
    layer, x = nn.Linear(4099, 4097, bias=False), torch.ones(1, 4099)
    layer.weight.data[:] = 0.5
    assert hw_sim.count(layer, x).total("accumulates") == 4099 * 4097
    assert neurobench(layer, x)[0] != 4099 * 4097


def test_a_few_weights_of_zero_are_read_all_the_same_here_and_skipped_by_neurobench():
    """By hand: 2 spikes to 5 outputs are 10 rows' worth of weights; 2 of the 10 are zero. Below a quarter of zeros the
    simulator, and we, read them; NeuroBench never does."""
    layer, x = nn.Linear(2, 5, bias=False), torch.ones(1, 2)
    layer.weight.data = torch.tensor([[1.0, 0.5], [0, 1], [1, 1], [1, 0], [1, 1]])
    assert hw_sim.count(layer, x).total("accumulates") == 10
    assert neurobench(layer, x)[0] == 8
