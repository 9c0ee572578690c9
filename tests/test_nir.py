"""The NIR graph: it holds the whole model, survives the file, and files that it cannot use are refused."""

import mmap
import subprocess
import sys

import h5py
import nir
import numpy as np
import pytest
import torch

from exporters import nir as exporter
from exporters.nir.lower import translate
from exporters.nir.passes import fold_embedding_norm, split_token_shift
from hw_sim.graph.extensions import WKV, LayerNorm, Multiply, Place, Sigmoid, SquaredReLU
from hw_sim.graph.files import forget
from hw_sim.graph.wiring import Wiring
from spikegpt import UserError
from spikegpt.kernels.reference import wkv_loop
from tests.conftest import OLD, lively_model


def test_every_parameter_of_the_model_is_in_the_graph(model):
    """Before gains and norms are folded into thresholds."""
    graph = split_token_shift(fold_embedding_norm(translate(model)))
    held = [v for node in graph.nodes.values() for v in vars(node).values() if isinstance(v, np.ndarray)]
    for name, parameter in model.named_parameters():
        if "time_mix" in name or "time_decay" in name or name.startswith(("emb", "blocks.0.ln0")):
            continue  # held in another form: 1 - m, -exp(decay), the folded table
        if name.endswith("bias") and (model.config.late_norms or ("ln_out" in name and model.config.spiking_head)):
            continue  # the threshold less the bias
        value = parameter.detach().numpy()
        assert any(h.shape == value.shape and np.array_equal(h, value) for h in held), name


def test_file_round_trip_keeps_every_array(model, tmp_path):
    graph = exporter.export(model)
    exporter.write(graph, tmp_path / "m.nir")
    again = exporter.read(tmp_path / "m.nir")
    assert sorted(graph.nodes) == sorted(again.nodes)
    assert sorted(graph.edges) == sorted(again.edges)
    for name, node in graph.nodes.items():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray):
                assert np.array_equal(value, getattr(again.nodes[name], field)), (name, field)
                assert value.dtype == getattr(again.nodes[name], field).dtype


def test_same_model_gives_the_same_bytes(model, tmp_path):
    for name in ("a.nir", "b.nir"):
        exporter.write(exporter.export(model), tmp_path / name)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_stock_reader_reads_the_file_once_the_extensions_are_registered(spiking_model, tmp_path):
    exporter.write(exporter.export(spiking_model), tmp_path / "m.nir")
    assert isinstance(nir.read(tmp_path / "m.nir"), nir.NIRGraph)


def test_all_and_only_body_matrices_are_spike_fed_in_the_spike_driven_graph():
    for variant, expected in (("spike-driven", 15), (OLD, 14), ("canonical", 0), ("continuous", 0)):
        graph = exporter.export(lively_model(variant))
        wiring = Wiring(graph)
        fed = [n for n, node in graph.nodes.items() if isinstance(node, nir.Linear) and wiring.spike_fed(n)]
        assert len(fed) == expected
        assert ("head" in fed) == (variant == "spike-driven")


def test_no_torch_is_imported_downstream_of_the_file(spiking_model, tmp_path):
    """Only who counts a torch module, which is upstream of any file, imports torch, and nothing imports that."""
    path = tmp_path / "m.nir"
    exporter.write(exporter.export(spiking_model), path)
    code = (
        "import sys, pkgutil, importlib, numpy as np, hw_sim\n"
        "names = {m.name for m in pkgutil.walk_packages(hw_sim.__path__, 'hw_sim.')} - {'hw_sim.counts.modules'}\n"
        "for name in [*names, 'exporters.targets', 'exporters.loihi.lava.supervisor']: importlib.import_module(name)\n"
        "assert {'hw_sim.run.cluster', 'hw_sim.run.loop_int8', 'hw_sim.energy.page'} <= names\n"
        f"hw_sim.Simulator.from_nir({str(path)!r}).run(np.arange(5))\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_large_arrays_stay_in_the_file_until_they_are_used_and_are_given_back(tmp_path):
    """A matrix of 1.4 MB is mapped, read-only, and reads the same after its memory was given back."""
    weight = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32)
    table, ends = np.ones((600, 3), np.float32), (np.array([3]), np.array([600]))
    nodes = {"token": nir.Input({"input": ends[0]}), "embedding": nir.Linear(table), "body": nir.Linear(weight),
             "out": nir.Output({"output": ends[1]})}  # fmt: skip
    edges = [("token", "embedding"), ("embedding", "body"), ("body", "out")]
    exporter.write(nir.NIRGraph(nodes, edges), tmp_path / "m.nir")
    read = exporter.read(tmp_path / "m.nir").nodes
    assert isinstance(read["body"].weight.base, mmap.mmap)
    assert not read["body"].weight.flags.writeable
    assert read["embedding"].weight.base is None
    for _ in range(2):
        assert np.array_equal(read["body"].weight, weight)
        forget(read["body"].weight)
    forget(read["embedding"].weight)  # nothing to give back
    assert np.array_equal(read["embedding"].weight, table)


def test_extension_steps_are_the_torch_operators():
    rng = np.random.default_rng(0)
    d = 12
    x, weight, bias = rng.normal(size=(3, d)).astype(np.float32)
    ours = LayerNorm(weight, bias, np.array([1e-5])).step(x)
    t = torch.from_numpy
    theirs = torch.nn.functional.layer_norm(t(x), (d,), t(weight), t(bias), 1e-5)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)
    shape = np.array([d])
    np.testing.assert_allclose(Sigmoid(shape).step(x), torch.sigmoid(t(x)).numpy(), atol=1e-6)
    np.testing.assert_array_equal(SquaredReLU(shape).step(x), torch.relu(t(x)).square().numpy())
    np.testing.assert_array_equal(Multiply(shape).step(np.concatenate([x, weight])), x * weight)
    np.testing.assert_array_equal(Place(np.array([2]), np.array([d, d + 4])).step(x), np.pad(x, (2, 2)))


def test_wkv_step_is_the_torch_loop():
    rng = np.random.default_rng(0)
    d, n = 6, 9
    node = WKV(-rng.random(d), rng.normal(size=d))
    k, v = rng.normal(size=(2, n, d)) * 3
    state, ys = node.start(), []
    for t in range(n):
        y, state = node.step(np.concatenate([k[t], v[t]]), state)
        ys.append(y)
    t = torch.from_numpy
    expected, end = wkv_loop(t(node.decay), t(node.bonus), t(k)[None], t(v)[None], t(node.start())[:, None])
    np.testing.assert_allclose(np.array(ys), expected[0].numpy(), atol=1e-12)
    np.testing.assert_allclose(state, end[:, 0].numpy(), atol=1e-12)


def unknown_node(path):
    with h5py.File(path, "r+") as file:
        node = file["node"]["nodes"]["embedding"]
        del node["type"]
        node["type"] = "Perceptron"


def dangling_edge(path):
    with h5py.File(path, "r+") as file:
        edges = file["node"]["edges"][()]
        edges[0] = (b"nowhere", edges[0][1])
        file["node"]["edges"][...] = edges


def truncated(path):
    path.write_bytes(path.read_bytes()[:5000])


def nan_weight(path):
    with h5py.File(path, "r+") as file:
        file["node"]["nodes"]["head"]["weight"][0, 0] = np.nan


def wrong_shape(path):
    with h5py.File(path, "r+") as file:
        node = file["node"]["nodes"]["head_ln"]
        del node["weight"]
        node["weight"] = np.ones(3, np.float32)


@pytest.mark.parametrize("damage", [unknown_node, dangling_edge, truncated, nan_weight, wrong_shape])
def test_damaged_or_foreign_files_are_refused_in_one_line(damage, spiking_model, tmp_path):
    path = tmp_path / "m.nir"
    exporter.write(exporter.export(spiking_model), path)
    damage(path)
    with pytest.raises(UserError) as caught:
        exporter.read(path)
    assert "m.nir" in str(caught.value)
    assert "\n" not in str(caught.value)
