"""`spikegpt info` on `.nir` files: blocks, nodes, and a drawing that an XML reader accepts."""

import json
import xml.etree.ElementTree as ElementTree

import nir
import numpy as np
import pytest

from exporters import nir as exporter
from tests.conftest import lively_model


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "model.nir"
    exporter.write(exporter.export(lively_model("spike-driven", n_layer=2, n_embd=8)), path)
    return path


def test_blocks_of_a_network_are_counted(run, network):
    facts = json.loads(run("info", network, "--json")[1])
    body, head = 13 * 8 * 8, 50 * 8
    assert facts["synapses"] == 2 * body + head
    assert facts["spike_fed_synapses"] == facts["portable_synapses"] == 2 * body + head
    assert facts["neurons"] == 2 * (6 * 8 + 4 * 8) + 8
    assert list(facts["blocks"]) == ["block0", "block1", "outside blocks"]
    key = next(n for n in facts["blocks"]["block1"]["list"] if n["name"] == "block1_ffn_key")
    assert (key["type"], key["width_in"], key["width_out"], key["values"]) == ("Linear", 8, 32, 256)
    assert key["spike_fed"] and key["portable"] and not key["spiking"]
    text = run("info", network)[1]
    assert f"{2 * body + head:,}" in text.splitlines()[-1]
    listed = run("info", network, "--block", "block0")[1]
    assert "block0_att_key_lif" in listed and "block1" not in listed


def test_a_block_is_drawn_with_every_node_and_edge(run, network, tmp_path):
    assert run("info", network, "--svg", tmp_path / "b.svg", "--block", "block1")[0] == 0
    root = ElementTree.parse(tmp_path / "b.svg").getroot()
    texts = {t.text for t in root.iter("{http://www.w3.org/2000/svg}text")}
    graph = exporter.read(network)
    inside = {n for n in graph.nodes if n.startswith("block1_")}
    assert {n.removeprefix("block1_") for n in inside} <= texts
    assert "block0_ffn_residual" in texts  # what the block reads
    paths = list(root.iter("{http://www.w3.org/2000/svg}path"))
    assert len(paths) == sum(target in inside for _, target in graph.edges)
    boxes = [
        (float(r.get("x")), float(r.get("y"))) for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("rx")
    ]
    assert len(boxes) == len(set(boxes)) == len(inside) + 1  # none lies on another
    width, height = float(root.get("width")), float(root.get("height"))
    assert all(0 <= x <= width - 168 and 0 <= y <= height - 38 for x, y in boxes)


def test_the_whole_network_is_drawn_with_every_node_and_edge(run, network, tmp_path):
    code, out, _ = run("info", network, "--svg", tmp_path / "n.svg", "--block", "all")
    assert code == 0
    assert out.startswith(f"{tmp_path / 'n.svg'}\n")
    root = ElementTree.parse(tmp_path / "n.svg").getroot()
    graph = exporter.read(network)
    texts = {t.text for t in root.iter("{http://www.w3.org/2000/svg}text")}
    assert graph.nodes.keys() <= texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) == len(graph.edges)
    assert all(f"{name} " in out for name in graph.nodes)


def test_info_reads_a_network_of_another_tool(run, tmp_path):
    ones = np.ones(2, np.float32)
    foreign = nir.NIRGraph.from_list(nir.Affine(np.eye(2, 3), ones), nir.LIF(ones, ones, 0 * ones, ones))
    nir.write(tmp_path / "f.nir", foreign)
    facts = json.loads(run("info", tmp_path / "f.nir", "--json")[1])
    assert (facts["synapses"], facts["neurons"]) == (6, 2)
    assert run("info", tmp_path / "f.nir", "--svg", tmp_path / "f.svg")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [["model.nir", "--block", "block7"], ["model.nir", "--preset", "45m"], ["other.nir"], ["m.pt", "--svg", "x.svg"]],
)
def test_mistakes_are_one_line(arguments, run, network, tmp_path, monkeypatch):
    (tmp_path / "other.nir").write_bytes(b"\x89HDF\r\n\x1a\n junk")
    (tmp_path / "m.pt").write_bytes(b"junk")
    monkeypatch.chdir(tmp_path)
    code, out, err = run("info", *arguments)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
