"""`hw_sim.count` on torch modules: what can be counted by hand is, and a lowered network counts the same."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import hw_sim
from exporters import nir as exporter
from hw_sim.counts import layers
from hw_sim.graph.foreign import drive, read_foreign
from spikegpt import UserError
from tests.conftest import lively_model
from tests.test_interop import TOOLS, in_tool, needs


@pytest.mark.parametrize("variant", ["spike-driven", "spike-driven-1", "canonical", "continuous"])
@pytest.mark.parametrize("pruned", [False, True])
def test_a_model_of_ours_counts_as_its_graph_does_in_the_simulator(variant, pruned, tokens):
    model = lively_model(variant.removesuffix("-1"), old=variant.endswith("-1"))
    if pruned:  # half of the weights, so that the plan stores the matrices without them
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.data *= torch.rand_like(parameter) > 0.5
    ours = hw_sim.count(model, torch.from_numpy(tokens)[None])
    simulated = hw_sim.Simulator.from_nir(exporter.export(model)).run(tokens)
    assert ours.total("accumulates") == simulated.synops
    assert (ours.total("macs"), ours.total("graded")) == (simulated.macs, 0)
    assert ours.total("dense") == simulated.dense
    assert ours.total("spikes") == sum(simulated.spike_counts.values())
    assert ours.total("updates") == sum(p.updates for p in simulated.populations)
    matrices = sorted(x.effective for x in ours.layers if x.kind == "Matrix")
    assert matrices == sorted(m.effective for m in simulated.matrices)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_network_of_another_tool_counts_in_torch_as_its_export_does_here(tool, tmp_path):
    needs(tool)
    in_tool("foreign_networks.py", tool, tmp_path)
    record = np.load(tmp_path / f"{tool}.npz")
    dt = 1e-6 if tool == "norse" else 1e-4  # test_interop says why
    inputs = record["input"]
    simulator = hw_sim.Simulator.from_nir(drive(read_foreign(tmp_path / f"{tool}.nir", dt), inputs))
    simulated = simulator.run(np.arange(len(inputs)))
    total = json.loads((tmp_path / f"{tool}.json").read_text())["total"]
    assert total["accumulates"] == simulated.synops > 0
    assert total["macs"] == simulated.macs > 0
    assert total["dense"] == simulated.dense
    assert total["spikes"] == sum(simulated.spike_counts.values())
    assert total["updates"] == sum(p.updates for p in simulated.populations)


def tapped(x: np.ndarray, weight: np.ndarray, **geometry) -> int:
    """Pairs of a non-zero input and a tap that exists: a convolution of ones on the pattern, added up."""
    kernel = torch.ones(torch.from_numpy(weight).shape, dtype=torch.float64)
    convolve = getattr(nn.functional, f"conv{weight.ndim - 2}d")
    return int(convolve(torch.from_numpy(x != 0).double(), kernel, **geometry).sum())


@pytest.mark.parametrize(
    "dims, stride, padding, dilation, groups",
    [
        (1, 1, 0, 1, 1),
        (1, 2, 3, 2, 2),
        (2, 1, 1, 1, 1),
        (2, (2, 1), (0, 2), (1, 2), 2),
        (2, 3, 2, 1, 4),
        (3, 2, 1, 1, 2),
    ],
)
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_a_convolution_counts_the_taps_that_exist(dims, stride, padding, dilation, groups, density):
    torch.manual_seed(0)
    conv = getattr(nn, f"Conv{dims}d")(4, 8, 3, stride, padding, dilation, groups)
    x = (torch.rand(2, 4, *(9, 8, 7)[:dims]) < density).float()
    counted = hw_sim.count(conv, x)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    weight = conv.weight.detach().numpy()
    assert counted.total("effective") == counted.total("accumulates") == tapped(x.numpy(), weight, **geometry)
    assert counted.total("dense") == tapped(np.ones(x.shape), weight, **geometry)


@pytest.mark.parametrize("stride, padding, groups", [(1, 0, 1), (2, 1, 1), (2, 2, 2)])
def test_a_transposed_convolution_counts_what_its_inputs_scatter(stride, padding, groups):
    torch.manual_seed(0)
    conv = nn.ConvTranspose2d(4, 6, 3, stride, padding, groups=groups, bias=False)
    x = (torch.rand(2, 4, 5, 6) < 0.4).float()
    scattered = nn.functional.conv_transpose2d(x, torch.ones_like(conv.weight), None, stride, padding, groups=groups)
    assert hw_sim.count(conv, x).total("effective") == int(scattered.sum())


def test_a_spike_in_a_corner_meets_four_of_nine_taps():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0] = 1
    conv = nn.Conv2d(1, 5, 3, padding=1)
    assert hw_sim.count(conv, x).total("accumulates") == 4 * 5
    assert hw_sim.count(conv, torch.ones(1, 1, 4, 4)).total("dense") == 5 * (4 * 9 + 8 * 6 + 4 * 4)


def lif(threshold: float = 0.5):
    snntorch = pytest.importorskip("snntorch")
    return snntorch.Leaky(beta=0.0, threshold=threshold, init_hidden=True, reset_mechanism="none")


def test_structure_decides_and_values_stand_beside_it():
    x = torch.rand(3, 4)
    dead = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    dead[0].bias.data[:] = -100
    last = next(layer for layer in hw_sim.count(dead, x).layers if layer.name == "2")
    assert (last.structure, last.values, last.macs, last.accumulates, last.dense) == ("real", "zero", 0, 0, 36)
    whole = hw_sim.count(nn.Linear(4, 2), torch.ones(3, 4))
    assert whole.total("accumulates") == 24
    assert "values tell" in whole.notes[0]
    assert hw_sim.count(nn.Linear(4, 2), torch.ones(3, 4), spike_input=True).notes == ()
    with pytest.raises(UserError, match="no spikes"):
        hw_sim.count(nn.Linear(4, 2), x, spike_input=True)


def test_sums_of_spikes_are_graded_and_what_only_moves_spikes_is_not():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.neuron, self.pool, self.flat = lif(), nn.AvgPool2d(2), nn.Flatten()
            self.moved, self.pooled = nn.Linear(16, 3), nn.Linear(4, 3)

        def forward(self, x):
            spikes = self.neuron(x)
            stacked = torch.stack([self.flat(spikes), self.flat(spikes)])
            return self.moved(stacked), self.pooled(self.flat(self.pool(spikes)))

    x = torch.tensor([[1.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])[None, None]
    found = {layer.name: layer for layer in hw_sim.count(Net(), x).layers if layer.dense}
    moved, pooled = found["moved"], found["pooled"]
    assert (moved.structure, moved.accumulates, moved.macs, moved.graded) == ("spikes", 2 * 4 * 3, 0, 0)
    assert (pooled.structure, pooled.graded, pooled.accumulates) == ("graded", 2 * 3, 0)


def test_memory_that_was_written_since_is_no_longer_spikes():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.neuron, self.read = lif(), nn.Linear(4, 3)

        def forward(self, x):
            spikes = self.neuron(x)
            spikes += 0.25
            return self.read(spikes)

    (read,) = [layer for layer in hw_sim.count(Net(), torch.rand(1, 4)).layers if layer.name == "read"]
    assert (read.structure, read.accumulates, read.macs) == ("real", 0, 12)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_counted_by_pairs(causal):
    q = k = v = torch.tensor([[[[1.0, 0], [1, 1], [0, 1]]]])  # (batch, heads, T, d), where one operator does all
    counted = hw_sim.count(
        nn.Module(), run=lambda: nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    )
    pairs = 6 if causal else 9
    assert counted.total("dense") == pairs * 2 * 2
    scores = (q[0, 0] != 0).long() @ (k[0, 0] != 0).long().T
    weighed = (v[0, 0] != 0).long().sum(1).expand(3, 3)
    keep = torch.ones(3, 3).tril() if causal else torch.ones(3, 3)
    assert counted.total("effective") == int((scores * keep).sum() + (weighed * keep).sum())


def test_steps_and_calls_add_up_and_multi_step_equals_single_step():
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    layer = pytest.importorskip("spikingjelly.activation_based.layer")

    def net(mode: str) -> nn.Sequential:
        torch.manual_seed(0)
        parts = (layer.Conv2d(2, 4, 3, padding=1, step_mode=mode), neuron.IFNode(step_mode=mode),
                 layer.AvgPool2d(2, step_mode=mode), layer.Conv2d(4, 2, 3, step_mode=mode))  # fmt: skip
        return nn.Sequential(*parts).eval()

    x = torch.rand(5, 3, 2, 8, 8) * 3
    single, multi = hw_sim.count(net("s"), x, steps=5, samples=3), hw_sim.count(net("m"), x, samples=3)
    for of in layers.TOTALS:
        assert single.total(of) == multi.total(of)
    assert single.total("graded") > 0 == single.total("accumulates")
    assert single.to_dict()["per_sample"]["dense"] == single.total("dense") / 3
    with pytest.raises(UserError, match="4 are to be counted"):
        hw_sim.count(net("s"), x, steps=4)


def test_importing_the_simulator_imports_no_torch():
    code = "import hw_sim, hw_sim.counts.layers, sys; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_values_are_judged_by_what_they_are_multiples_of():
    judged = {"zero": [0, 0], "binary": [0, 1], "graded": [0, 0.75, 0.25, -0.5], "real": [0.3, 0.7071]}
    assert {layers.verdict(np.array(x, np.float32)) for x in judged.values()} == set(judged)
    assert all(layers.verdict(np.array(x, np.float32)) == name for name, x in judged.items())


@pytest.mark.parametrize(
    ("module", "inputs", "operator"),
    [
        (nn.LSTM(4, 3), [torch.ones(5, 1, 4)], "rnn"),
        (nn.Bilinear(2, 3, 4), [torch.ones(1, 2), torch.ones(1, 3)], "tri"),
    ],
)
def test_an_operator_with_weights_that_is_not_known_is_refused_by_name(module, inputs, operator):
    with pytest.raises(UserError, match=f"operator .*{operator}.* has weights and is not known"):
        hw_sim.count(module, *inputs)


def test_what_an_unknown_operator_without_weights_takes_is_said_not_to_be_counted():
    found = hw_sim.count(nn.Sequential(nn.Linear(4, 3), nn.GELU()), torch.tensor([[0.1, 0.7, -1.3, 2.2]]))
    assert "not counted, as what they take is not known here: gelu" in found.notes
    assert found.layers[0].effective == 12
