"""Each lowering pass keeps what it promises; the graph can be seen after each."""

import nir
import numpy as np
import pytest

import spikegpt
from cli.main import main
from exporters import nir as exporter
from exporters.nir.lower import translate
from exporters.nir.passes import PASSES, fold_embedding_norm, mark_spike_fed, split_token_shift
from hw_sim import Simulator
from hw_sim.graph.extensions import LayerNorm, TokenShift
from hw_sim.graph.reference import run
from spikegpt import UserError
from tests.conftest import torch_run


def outputs(graph: nir.NIRGraph, tokens: np.ndarray) -> dict[str, np.ndarray]:
    seen: dict[str, np.ndarray] = {}
    run(graph, tokens, lambda name, x, y: seen.update({name: y}))
    return seen


def test_translation_and_every_pass_compute_the_torch_model(model, tokens):
    expected, spikes = torch_run(model, tokens)
    seen = []
    exporter.export(model, lambda name, graph: seen.append((name, outputs(graph, tokens))))
    assert [name for name, _ in seen] == ["translate", *(p.__name__ for p in PASSES)]
    for name, found in seen:
        np.testing.assert_allclose(found["logits"], expected, atol=2e-4, err_msg=name)
        for population, train in spikes.items():
            assert np.array_equal(found[population], train), (name, population)


def test_reference_and_simulator_agree(model, tokens):
    graph = exporter.export(model)
    expected = outputs(graph, tokens)
    result = Simulator.from_nir(graph).run(tokens, record=True)
    np.testing.assert_allclose(result.logits, expected["logits"], atol=2e-4)
    assert all(np.array_equal(train, expected[name]) for name, train in result.spikes.items())


def test_reference_refuses_feedback():
    nodes = {
        "in": nir.Input({"input": np.array([2])}),
        "sum": nir.Scale(np.ones(2)),
        "before": nir.Delay(np.full(2, exporter.DT)),
        "out": nir.Output({"output": np.array([2])}),
    }
    graph = nir.NIRGraph(nodes, [("in", "sum"), ("sum", "before"), ("before", "sum"), ("sum", "out")])
    with pytest.raises(UserError, match="feed back"):
        outputs(graph, np.zeros((3, 2), np.float32))


def test_embedding_norm_is_folded_once_and_leaves_the_graph_it_was_given(spiking_model, tokens):
    before = translate(spiking_model)
    folded = fold_embedding_norm(before)
    assert isinstance(before.nodes["embedding_ln"], LayerNorm)
    assert before.nodes["embedding"].weight.dtype == np.int8  # binary, until the norm is in it
    assert set(before.nodes) - set(folded.nodes) == {"embedding_ln"}
    np.testing.assert_allclose(
        outputs(before, tokens)["embedding_ln"], outputs(folded, tokens)["embedding"], rtol=1e-5, atol=1e-6
    )
    assert fold_embedding_norm(folded).edges == folded.edges


def test_an_embedding_with_another_reader_keeps_its_norm(spiking_model):
    graph = translate(spiking_model)
    width = graph.nodes["embedding_ln"].weight.size
    graph.nodes["tap"] = nir.Scale(np.ones(width))
    graph.edges.append(("embedding", "tap"))
    assert "embedding_ln" in fold_embedding_norm(graph).nodes


def test_token_shift_is_split_bit_for_bit(model, tokens):
    before = fold_embedding_norm(translate(model))
    after = split_token_shift(before)
    kinds = [type(node) for node in after.nodes.values()]
    assert TokenShift not in kinds
    assert kinds.count(nir.Delay) == 2 * len(model.blocks)  # one a half block, shared
    mixed, parts = outputs(before, tokens), outputs(after, tokens)
    for name, node in before.nodes.items():
        if isinstance(node, TokenShift):
            assert np.array_equal(mixed[name], parts[f"{name}_now"] + parts[f"{name}_before"]), name


def test_marks_follow_structure_and_change_nothing_else(model):
    before = split_token_shift(fold_embedding_norm(translate(model)))
    after = mark_spike_fed(before)
    assert after.edges == before.edges
    marks = {n: node.metadata["spike_fed"] for n, node in after.nodes.items() if isinstance(node, nir.Linear)}
    assert marks["head"] == model.config.spiking_head
    assert marks["embedding"] == 0
    assert marks["block0_att_key"] == (model.config.variant == "spike-driven")
    assert all(after.nodes[n].weight is before.nodes[n].weight for n in marks)


def test_dump_passes_writes_the_graph_after_each(spiking_model, tmp_path, monkeypatch, capsys):
    spikegpt.save(spiking_model, tmp_path / "m.pt")
    command = ["export", "m.pt", "--target", "nir", "--out", "n", "--dump-passes", "p"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["spikegpt", *command])
    with pytest.raises(SystemExit):
        main()
    names = sorted(f.name for f in (tmp_path / "p").glob("*.nir"))
    assert names == [f"{i}-{name}.nir" for i, name in enumerate(["translate", *(p.__name__ for p in PASSES)])]
    assert "block0_att_key_mix" in exporter.read(tmp_path / "p" / names[1]).nodes
    assert (tmp_path / "p" / names[-1]).read_bytes() == (tmp_path / "n" / "model.nir").read_bytes()
