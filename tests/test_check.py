"""`spikegpt check`: every node of every target, as the export itself would find, all faults at once."""

import json

import h5py
import nir
import numpy as np
import pytest

from exporters import nir as exporter
from exporters.check import NETWORK, REFUSED, SUBSTITUTED, SUPPORTED, TARGETS, check_target
from exporters.loihi.netx import chains
from exporters.targets import export_to
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from spikegpt import UserError
from tests.conftest import lively_model
from tests.test_count_command import network

BIASED = ("block0_att_key", "block1_ffn_key")


def graph_of(variant: str = "spike-driven") -> nir.NIRGraph:
    return exporter.export(lively_model(variant))


def biased() -> nir.NIRGraph:
    """A model with two matrices that ONNX does not take: they have a bias."""
    graph = graph_of()
    for name in BIASED:
        weight = graph.nodes[name].weight
        graph.nodes[name] = nir.Affine(weight, np.ones(len(weight), np.float32))
    return graph


def by_status(graph: nir.NIRGraph, target: str) -> dict[str, set[str]]:
    found = check_target(graph, target)
    return {s: {f.node for f in found if f.status == s} for s in (SUPPORTED, SUBSTITUTED, REFUSED)}


@pytest.mark.parametrize("target", ["nir", "onnx", "loihi"])
@pytest.mark.parametrize("variant", ["spike-driven", "canonical"])
def test_what_is_exported_is_refused_nowhere(target, variant, tmp_path):
    graph = graph_of(variant)
    found = by_status(graph, target)
    assert not found[REFUSED]
    assert set().union(*found.values()) == graph.nodes.keys()
    assert bool(found[SUBSTITUTED]) == (target == "loihi")
    if target == "onnx":
        export_to(target, graph, tmp_path / "out")


@pytest.mark.parametrize("target", ["onnx"])
def test_all_faults_are_named_where_the_export_names_the_first(target, tmp_path):
    found = {f.node: f for f in check_target(biased(), target)}
    assert {name for name, f in found.items() if f.status == REFUSED} == set(BIASED)
    assert all(name in found[name].why and "Affine" in found[name].why for name in BIASED)
    if target == "onnx":
        with pytest.raises(UserError) as refused:
            export_to(target, biased(), tmp_path / "out")
        assert str(refused.value) in {found[name].why for name in BIASED}


def test_netx_takes_what_its_files_hold():
    graph = graph_of()
    held = {name for chain in chains(build(quantize(graph))) for name in (chain.matrix, chain.name)}
    found = by_status(graph, "netx")
    assert found[SUBSTITUTED] == held
    assert {name for name, node in graph.nodes.items() if isinstance(node, nir.Input | nir.Output)} == found[SUPPORTED]


def test_drift_is_measured_where_data_are_given(tokens):
    found = {f.node: f for f in check_target(graph_of(), "loihi", tokens)}
    spiking = [f for f in found.values() if f.kind == "LIF"]
    assert all(f.drift is not None and 0 <= f.drift < 0.2 for f in spiking)
    assert max(f.drift for f in spiking) > 0
    assert all(f.drift is None for f in check_target(graph_of(), "loihi"))


def test_a_network_that_is_no_language_model_goes_to_loihi_and_not_to_onnx(tmp_path, run):
    graph = network()
    assert by_status(graph, "nir")[REFUSED] == by_status(graph, "loihi")[REFUSED] == set()
    assert by_status(graph, "loihi")[SUBSTITUTED]
    assert NETWORK in by_status(graph, "onnx")[REFUSED]


def test_the_command_ends_with_1_where_anything_is_refused(run, tmp_path):
    nir.write(tmp_path / "net.nir", network())
    assert run("check", tmp_path / "net.nir", "--target", "nir")[0] == 0
    code, out, _ = run("check", tmp_path / "net.nir", "--target", "onnx", "--json")
    assert (code, json.loads(out)["refused"]) == (1, 6)
    code, _, err = run("check", tmp_path / "net.nir", "--target", "fpga")
    assert code == 2
    assert all(target in err for target in TARGETS)


def test_nodes_of_unknown_kinds_are_all_named(run, tmp_path):
    ones = np.ones(2, np.float32)
    nodes = {"in": nir.Input({"input": np.array([2])}), "a": nir.I(ones), "b": nir.I(ones),
             "out": nir.Output({"output": np.array([2])})}  # fmt: skip
    nir.write(tmp_path / "odd.nir", nir.NIRGraph(nodes, [("in", "a"), ("a", "b"), ("b", "out")]), compression=None)
    with h5py.File(tmp_path / "odd.nir", "r+") as file:
        for name in ("a", "b"):
            del file["node"]["nodes"][name]["type"]
            file["node"]["nodes"][name]["type"] = "Perceptron"
    code, out, _ = run("check", tmp_path / "odd.nir", "--target", "nir", "--json")
    refused = {f["node"] for f in json.loads(out)["nodes"] if f["status"] == "refused"}
    assert (code, refused) == (1, {"a", "b"})
