"""The ONNX models compute what the model computes, token by token, as whole texts, in batches and with int8 weights."""

import json

import nir
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import spikegpt
from exporters import nir as exporter
from exporters.onnx_model import write_onnx
from exporters.targets import export_to
from hw_sim.graph.quantize import quantize
from hw_sim.graph.reference import run as reference_run
from hw_sim.graph.wiring import Wiring
from tests.conftest import lively_model, torch_run


class Session:
    """An exported model with its state, started as state.json says."""

    def __init__(self, folder, name: str, batch: int = 1, suffix: str = ""):
        self.session = onnxruntime.InferenceSession(str(folder / f"{name}{suffix}.onnx"))
        self.states = json.loads((folder / f"state{suffix}.json").read_text())["states"]
        self.feed = {s["past"]: np.full((batch, s["shape"][1]), s["initial"], np.float32) for s in self.states}

    def __call__(self, **tokens) -> np.ndarray:
        names = [output.name for output in self.session.get_outputs()]
        out = dict(zip(names, self.session.run(None, {**tokens, **self.feed}), strict=True))
        self.feed = {s["past"]: out[s["present"]] for s in self.states}
        return out["logits"]


def stepped(session: Session, texts: np.ndarray) -> np.ndarray:
    return np.stack([session(token=texts[:, t]) for t in range(texts.shape[1])], axis=1)


def test_steps_of_a_batch_and_whole_texts_are_the_torch_model(model, tmp_path):
    write_onnx(exporter.export(model), tmp_path)
    for name in ("model", "sequence"):
        onnx.checker.check_model(str(tmp_path / f"{name}.onnx"), full_check=True)
    texts = np.random.default_rng(0).integers(0, 50, (3, 40))
    with torch.no_grad():
        expected = model(torch.from_numpy(texts)).numpy()
    np.testing.assert_allclose(stepped(Session(tmp_path, "model", 3), texts), expected, atol=2e-4)
    halves = Session(tmp_path, "sequence", 3)
    whole = np.concatenate([halves(tokens=texts[:, :15]), halves(tokens=texts[:, 15:])], axis=1)
    np.testing.assert_allclose(whole, expected, atol=2e-4)


def test_int8_model_is_the_int8_graph(spiking_model, tokens, tmp_path):
    graph = quantize(exporter.export(spiking_model))
    write_onnx(graph, tmp_path, "-int8")
    logits = {}
    reference_run(graph, tokens, lambda name, x, y: logits.update({name: y}))
    got = stepped(Session(tmp_path, "model", suffix="-int8"), tokens[None])[0]
    np.testing.assert_allclose(got, logits["logits"], atol=2e-4)
    stored = onnx.load(str(tmp_path / "model-int8.onnx"), load_external_data=False).graph.initializer
    assert {t.name: t.data_type for t in stored}["block0_ffn_key/weight"] == onnx.TensorProto.INT8


def test_spikes_go_through_int8_matrices_in_integers(spiking_model, tmp_path):
    graph = quantize(exporter.export(spiking_model))
    write_onnx(graph, tmp_path, "-int8")
    nodes = onnx.load(str(tmp_path / "model-int8.onnx"), load_external_data=False).graph.node
    wiring = Wiring(graph)
    matrices = [name for name, node in graph.nodes.items() if isinstance(node, nir.Linear)]
    fed = {f"{name}/product" for name in matrices if wiring.spike_fed(name)}
    assert {node.output[0] for node in nodes if node.op_type == "MatMulInteger"} == fed
    assert not any(node.op_type == "Sum" for node in nodes)  # readers of ONNX know sums of two


def test_nodes_may_be_called_as_anything_else_of_the_model_is(spiking_model, tokens, tmp_path):
    graph = exporter.export(spiking_model)
    names = ["token", "logits", "past_block0_att_wkv_a", "present_block0_att_wkv_b", "block0_att_key_sum"]
    scales = [name for name, node in graph.nodes.items() if isinstance(node, nir.Scale | nir.Linear)][: len(names)]
    called = dict(zip(scales, names, strict=True))
    called |= {name: "out" for name, node in graph.nodes.items() if isinstance(node, nir.Output)}
    called |= {name: "in" for name, node in graph.nodes.items() if isinstance(node, nir.Input)}
    nodes = {called.get(name, name): node for name, node in graph.nodes.items()}
    edges = [(called.get(a, a), called.get(b, b)) for a, b in graph.edges]
    for folder, each in (("a", graph), ("b", nir.NIRGraph(nodes, edges, type_check=False))):
        (tmp_path / folder).mkdir()
        write_onnx(each, tmp_path / folder)
    a, b = (stepped(Session(tmp_path / folder, "model"), tokens[None]) for folder in "ab")
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
def test_shipped_model_runs_free_for_1000_tokens_as_in_torch(request, tmp_path):
    model = spikegpt.load(request.config.rootpath / "models" / "kjv-spike-driven.pt")
    export_to("onnx", exporter.export(model), tmp_path / "o")
    session, token, written, logits = Session(tmp_path / "o", "model"), ord("I"), [], []
    for _ in range(1000):
        written.append(token)
        logits.append(session(token=np.array([token]))[0])
        token = int(logits[-1].argmax())
    expected, _ = torch_run(model, np.array(written))
    assert (expected.argmax(1) == np.array(logits).argmax(1)).all()  # torch would have written the same text
    assert np.abs(expected - logits).max() < 1e-3
    assert len(set(written)) > 20


def test_onnx_export_is_deterministic(spiking_model, tmp_path):
    for name in "ab":
        export_to("onnx", exporter.export(spiking_model), tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_both_models_share_their_weights(tmp_path):
    export_to("onnx", exporter.export(lively_model("canonical", n_embd=64)), tmp_path / "o")
    sizes = {f.name: f.stat().st_size for f in (tmp_path / "o").iterdir()}
    assert sizes["weights.bin"] > 4 * 2 * 13 * 64 * 64
    assert sizes["weights-int8.bin"] < 0.45 * sizes["weights.bin"]
    assert sizes["sequence.onnx"] < sizes["weights.bin"] / 4
