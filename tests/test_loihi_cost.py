"""What an export for Loihi costs: fewer bits, pruning, bits per byte of both networks, and the command that says so."""

import json

import numpy as np
import pytest
import yaml

import spikegpt
from exporters import nir as exporter
from exporters.loihi.cost import quality
from exporters.loihi.mapping.groups import groups_of, weight_bits
from hw_sim import Simulator
from hw_sim.counts.counts import nonzero_operations
from hw_sim.energy.measure import bits_per_byte
from hw_sim.energy.placement import read_placement
from hw_sim.graph.quantize import body, prune_matrices, quantize
from hw_sim.graph.to_plan import build
from spikegpt import Config, SpikeGPT
from spikegpt.tokenizer import Bytes
from tests.conftest import lively_model
from tests.test_mapping import chip_values


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_bits_bound_the_weights_of_the_body_and_leave_the_head(bits, spiking_model):
    graph = exporter.export(spiking_model)
    rounded = quantize(graph, bits)
    weight_limit = (1 << bits - 1) - 1
    for name in body(graph):
        assert np.abs(rounded.nodes[name].weight).max() == weight_limit
    assert np.abs(rounded.nodes["head"].weight).max() == (weight_limit if spiking_model.config.spiking_head else 127)
    assert weight_bits(build(rounded)) == bits


def test_pruning_zeroes_the_smallest_share_of_every_matrix_of_the_body(spiking_model):
    graph = exporter.export(spiking_model)
    pruned = prune_matrices(graph, 0.3)
    new = spiking_model.config.spiking_head
    assert len(body(graph)) == 14 + new
    for name in body(graph):
        before, after = graph.nodes[name].weight, pruned.nodes[name].weight
        assert (after == 0).sum() == int(0.3 * before.size)
        assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()
        assert np.array_equal(before[after != 0], after[after != 0])
    for name in ["embedding"] if new else ["embedding", "head"]:
        assert pruned.nodes[name] is graph.nodes[name]
    assert prune_matrices(graph, 0.0) is graph


@pytest.mark.parametrize("prune", [0.0, 0.5])
def test_operations_on_weights_that_are_not_zero_are_those_of_a_recount_spike_by_spike(prune, spiking_model, tokens):
    plan = build(quantize(exporter.export(spiking_model), 8, prune))
    result = Simulator(plan).run(tokens, record=True)
    found = nonzero_operations(plan, result)
    groups = groups_of(plan)
    total = 0
    for group in groups:
        if group.source >= 0:
            for row in result.spikes[groups[group.source].population]:
                total += sum(np.count_nonzero(group.weights[i]) for i in np.flatnonzero(row))
    assert sum(found.values()) == total
    assert total < sum(m.rows_read for m in result.matrices) * (1 - prune / 2)
    assert result.synops == (total if prune else sum(m.rows_read for m in result.matrices if m.spike_fed))


def test_quality_is_bits_per_byte_of_both_networks_whatever_the_chunks():
    graph = exporter.export(SpikeGPT(Config(256, 1, 16)))
    tokens = np.frombuffer(b"In the beginning God created the heaven. " * 60, np.uint8).astype(np.int64)
    assert len(tokens) > 2048
    plan, done = build(quantize(graph, 3)), []
    found, counts = quality(graph, plan, tokens, Bytes(), done.append)
    for source, value in ((graph, found.float_bits_per_byte), (quantize(graph, 3), found.exported_bits_per_byte)):
        whole = Simulator.from_nir(source).run(tokens)
        assert value == pytest.approx(bits_per_byte(whole.logits, tokens, Bytes()), rel=1e-9)
    assert counts.spike_counts == whole.spike_counts
    assert sum(done) == 2 * len(tokens)


@pytest.fixture
def checkpoint(tmp_path):
    model = lively_model("spike-driven", 1, 16)
    path = tmp_path / "tiny.pt"
    lively = SpikeGPT(Config(256, 1, 16, lif_tau=1.0))
    state = {k: v for k, v in model.state_dict().items() if v.shape == lively.state_dict()[k].shape}
    lively.load_state_dict(state, strict=False)
    spikegpt.save(lively, path)
    return path


def test_export_maps_measures_and_its_mapping_feeds_the_energy_report(run, checkpoint, tmp_path):
    out = tmp_path / "l"
    options = ("--chip", "loihi1", "--chips", 1, "--bits", 4, "--prune", 0.3, "--tokens", 500)
    code, printed, _ = run("export", checkpoint, "--target", "loihi", "--out", out, *options)
    assert code == 0
    mapping, manifest = (json.loads((out / f"{name}.json").read_text()) for name in ("mapping", "manifest"))
    assert (mapping["chip"], mapping["weight_bits"], mapping["chips"]) == ("Loihi 1", 4, 1)
    assert mapping["nonzero_synapses"] <= 0.7 * mapping["synapses"] + 7
    assert mapping["measured"] == manifest["measured"]
    assert mapping["measured"]["nonzero_synops"] == mapping["measured"]["synops"]  # every matrix counts as sparse
    assert mapping["traffic"]["tokens"] == 500
    assert mapping["traffic"]["messages"] > 0
    assert (manifest["bits"], manifest["prune"]) == (4, 0.3)
    assert f"{manifest['measured']['exported_bits_per_byte']:.4f} as exported" in printed
    assert "on the first 500 tokens of King James Bible" in printed
    assert "cores on 1 chip(s)" in (out / "mapping.txt").read_text()
    assert read_placement(out / "mapping.json").messages_per_token == mapping["traffic"]["messages"] / 500
    report = ("energy-report", checkpoint, "--tokens", 200, "--placement", out / "mapping.json", "--json")
    row = next(r for r in json.loads(run(*report)[1])["rows"] if r["name"] == "spike-driven-int8")
    expected = mapping["placement"]["messages_per_token"] * 111e-12
    assert row["energy_terms_j"]["loihi1-silicon"]["messages"] == pytest.approx(expected)


def test_export_refuses_options_of_another_target_and_chips_that_do_not_suffice(run, checkpoint, tmp_path):
    code, _, err = run("export", checkpoint, "--target", "nir", "--out", tmp_path / "n", "--bits", 4)
    assert (code, (tmp_path / "n").exists()) == (2, False)
    assert "--bits is for --target loihi and sanafe, not nir" in err
    path = tmp_path / "mine.yaml"
    values = chip_values() | {"name": "Mine", "cores": 2, "synapse_bytes_per_core": 600}
    path.write_text(yaml.safe_dump(values))
    code, _, err = run("export", checkpoint, "--target", "loihi", "--out", tmp_path / "m", "--chip", path, "--chips", 1)
    assert (code, (tmp_path / "m").exists()) == (2, False)
    assert "Mine: 6 cores are needed, 4 more than the 2 of 1 chip(s); --chips 3 or --bits 2" in err


def test_a_model_whose_tokenizer_nobody_names_is_exported_without_a_quality(run, tmp_path):
    spikegpt.save(SpikeGPT(Config(40, 1, 16)), tmp_path / "small.pt")
    code, out, err = run("export", tmp_path / "small.pt", "--target", "loihi", "--out", tmp_path / "l")
    assert code == 0
    assert "quality is not measured" in err
    assert "cores on 1 chip(s)" in out
    assert "increase" not in json.loads((tmp_path / "l" / "manifest.json").read_text())["measured"]
    code, _, err = run("export", tmp_path / "small.pt", "--target", "loihi", "--out", tmp_path / "m", "--tokens", 50)
    assert code == 2
    assert "--tokenizer" in err
