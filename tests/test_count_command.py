"""`spikegpt count`: .nir, .onnx and checkpoints give equal integers; what data alone tell is left out without."""

import json
from itertools import pairwise

import nir
import numpy as np
import pytest
import torch

import hw_sim
from exporters import nir as exporter
from exporters.onnx_count import count_onnx
from exporters.onnx_model import write_onnx
from hw_sim.counts.networks import count_inputs, count_tokens
from hw_sim.graph.quantize import quantize
from hw_sim.graph.shapes import flattened
from spikegpt import UserError, checkpoint
from tests.conftest import lively_model

KINDS = ["spike-driven", "spike-driven-1", "canonical"]


def model_of(kind: str):
    return lively_model(kind.removesuffix("-1"), old=kind.endswith("-1"))


@pytest.mark.parametrize("kind", KINDS)
def test_torch_network_and_onnx_count_the_same(kind, tokens, tmp_path):
    graph, tokens = exporter.export(model_of(kind)), tokens[:30]
    write_onnx(graph, tmp_path)
    network = count_tokens(graph, tokens)
    onnx_model = count_onnx(tmp_path / "model.onnx", {"token": tokens[:, None]}, steps=30)
    module = hw_sim.count(model_of(kind), torch.from_numpy(tokens)[None])
    for of in ("dense", "effective", "macs", "accumulates", "graded", "spikes", "updates"):
        assert network.total(of) == onnx_model.total(of) == module.total(of)
    by_name = {layer.name: layer for layer in onnx_model.layers if layer.dense}
    assert {layer.name for layer in network.layers if layer.dense} == by_name.keys()
    for layer in network.layers:
        if layer.dense:
            assert (layer.structure, layer.effective) == (by_name[layer.name].structure, by_name[layer.name].effective)


def test_integer_events_are_graded(tokens):
    graph = quantize(exporter.export(lively_model("canonical")))
    result = hw_sim.Simulator.from_nir(graph).run(tokens)
    counts = count_tokens(graph, tokens)
    assert (counts.total("graded"), counts.total("macs")) == (result.graded, result.macs)
    assert counts.total("graded") > 0


def network(width: int = 3) -> nir.NIRGraph:
    weight = np.arange(1, 2 * width + 1, dtype=np.float32).reshape(2, width)
    ones = np.ones(2, np.float32)
    nodes = {
        "in": nir.Input({"input": np.array([width])}),
        "fc": nir.Affine(weight, np.zeros(2, np.float32)),
        "lif": nir.LIF(tau=1e-4 * ones, r=ones, v_leak=0 * ones, v_threshold=5 * ones),
        "out_fc": nir.Linear(np.ones((4, 2), np.float32)),
        "out": nir.Output({"output": np.array([4])}),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)))


def test_a_network_is_counted_as_by_hand(tmp_path, run):
    """3 inputs, 2 neurons at threshold 5, weights 1 2 3 and 4 5 6: step 0 (1 0 0) sums to 1 4, step 1 (0 1 1) to 5 11,
    step 2 (0 0 0) to nothing: one spike, to 4 outputs. 3 of 9 inputs are not zero, each to 2 neurons."""
    nir.write(tmp_path / "net.nir", network())
    np.save(tmp_path / "x.npy", np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], np.float32))
    code, out, _ = run("count", tmp_path / "net.nir", "--data", tmp_path / "x.npy", "--json")
    found = json.loads(out)
    assert code == 0
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert (layers["fc"]["structure"], layers["fc"]["values"]) == ("input", "binary")
    assert (layers["fc"]["dense"], layers["fc"]["accumulates"], layers["fc"]["macs"]) == (18, 6, 0)
    assert (layers["lif"]["updates"], layers["lif"]["spikes"]) == (6, 1)
    assert (layers["out_fc"]["dense"], layers["out_fc"]["accumulates"]) == (24, 4)
    assert (found["total"]["accumulates"], found["steps"]) == (10, 3)
    assert "values tell" in found["notes"][0]
    real = count_inputs(network(), np.array([[0.03, 0, 0.07]]))
    assert (real.total("macs"), real.total("accumulates")) == (4, 0)


def test_events_are_said_to_be_events_or_refused():
    counts = count_inputs(network(), np.array([[1, 0, 1]]), spike_input=True)
    assert (counts.layers[0].structure, counts.notes) == ("spikes", ())
    with pytest.raises(UserError, match="not 0 and 1"):
        count_inputs(network(), np.array([[0.5, 0, 1]]), spike_input=True)


def test_without_data_structure_alone_is_told(tmp_path, run):
    checkpoint.save(lively_model("spike-driven"), tmp_path / "m.pt")
    code, out, _ = run("count", tmp_path / "m.pt", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["total"]["dense"] == sum(layer["dense"] for layer in found["layers"]) > 0
    assert found["total"]["accumulates"] is found["total"]["spikes"] is None
    assert "no data" in found["notes"][0]
    _, shown, _ = run("count", tmp_path / "m.pt")
    assert "no data" in shown
    assert " - " in shown


def test_hidden_operations_and_missing_inputs_are_named(tmp_path, run):
    write_onnx(exporter.export(lively_model("spike-driven")), tmp_path)
    code, _, err = run("count", tmp_path / "sequence.onnx")
    assert code == 2
    assert "Scan" in err
    np.savez(tmp_path / "x.npz", other=np.zeros((2, 1)))
    code, _, err = run("count", tmp_path / "model.onnx", "--data", tmp_path / "x.npz")
    assert code == 2
    assert "'token' is missing" in err
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    code, _, err = run("count", tmp_path / "broken.onnx")
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize("groups, pads, stride", [(1, 1, 1), (2, 0, 2)])
def test_an_onnx_convolution_counts_as_that_of_torch(groups, pads, stride, tmp_path):
    from onnx import TensorProto, helper, numpy_helper
    from onnx import save as save_onnx

    torch.manual_seed(0)
    conv = torch.nn.Conv2d(2, 4, 3, stride, pads, groups=groups)
    x = (torch.rand(1, 2, 6, 7) < 0.4).float()
    weights = [numpy_helper.from_array(t.detach().numpy(), n) for t, n in ((conv.weight, "w"), (conv.bias, "b"))]
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[stride] * 2, pads=[pads] * 4, group=groups)
    value = helper.make_tensor_value_info
    ends = value("x", TensorProto.FLOAT, x.shape), value("y", TensorProto.FLOAT, conv(x).shape)
    graph = helper.make_graph([node], "g", [ends[0]], [ends[1]], weights)
    save_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "c.onnx")
    theirs, ours = count_onnx(tmp_path / "c.onnx", {"x": x.numpy()}), hw_sim.count(conv, x)
    assert (theirs.total("dense"), theirs.total("accumulates")) == (ours.total("dense"), ours.total("accumulates"))


def test_events_stay_spikes_behind_what_only_moves_them_and_become_sums_behind_a_pool():
    def counted(*between, n: int):
        weight = nir.Linear(np.ones((2, n), np.float32))
        nodes = {"input": nir.Input({"input": np.array([1, 2, 2])}), **dict(between), "fc": weight,
                 "output": nir.Output({"output": np.array([2])})}  # fmt: skip
        names = list(nodes)
        graph = nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
        return {layer.name: layer for layer in count_inputs(flattened(graph), np.eye(4), spike_input=True).layers}["fc"]

    flat = ("flat", nir.Flatten({"input": np.array([1, 2, 2])}, 0, -1))
    fed = counted(flat, n=4)
    assert (fed.structure, fed.accumulates, fed.graded, fed.macs) == ("spikes", 8, 0, 0)
    pool = ("pool", nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])))
    fed = counted(pool, ("flat", nir.Flatten({"input": np.array([1, 1, 1])}, 0, -1)), n=1)
    assert (fed.structure, fed.accumulates, fed.graded, fed.macs) == ("graded", 0, 8, 0)


def test_a_network_without_data_has_its_structure_alone():
    counts = count_inputs(network(), None)
    assert (counts.total("dense"), counts.total("updates"), counts.total("macs")) == (6 + 8, 2, None)
    assert len(counts.notes) == 1
