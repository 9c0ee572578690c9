"""Other tools run our segments with the recorded spikes, and we run their networks with their spikes."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nir
import numpy as np
import pytest

import spikegpt
from cli.main import main
from exporters import nir as exporter
from exporters.nir.segments import cut
from exporters.targets import export_to
from hw_sim import Simulator
from hw_sim.graph.foreign import drive, read_foreign
from spikegpt import UserError
from tests.conftest import OLD, lively_model

TOOLS = ("snntorch", "norse", "spikingjelly")
HERE = Path(__file__).parent


def in_tool(script: str, *arguments: object, hash_seed: int = 0) -> str:
    """Run a script of this folder in a process of its own, with a chosen order of sets."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def needs(tool: str) -> None:
    if find_spec(tool) is None or find_spec("nirtorch") is None:
        pytest.fail(f"{tool} or nirtorch is missing; `make test` installs them")


@pytest.fixture(scope="module")
def shipped(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shipped") / "nir"
    model = spikegpt.load(request.config.rootpath / "models" / "kjv-spike-driven.pt")
    export_to("nir", exporter.export(model), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_segments_of_a_model_of_the_newest_form_send_their_spikes_elsewhere(tool, tmp_path):
    """Its thresholds differ by neuron."""
    needs(tool)
    export_to("nir", exporter.export(lively_model("spike-driven", 1, 8)), tmp_path / "nir")
    found = json.loads(in_tool("segment_tools.py", tmp_path / "nir" / "segments", tool))
    assert len(found) == 7
    assert all(f["mismatches"] == 0 and f["output_difference"] < 1e-5 for f in found.values())
    assert sum(f["spikes"] for f in found.values()) > 100


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_every_segment_of_the_shipped_model_sends_the_recorded_spikes_elsewhere(tool, shipped):
    needs(tool)
    first, second = (json.loads(in_tool("segment_tools.py", shipped / "segments", tool, hash_seed=s)) for s in (1, 2))
    assert first == second
    assert len(first) == 24
    for name, found in first.items():
        assert found["mismatches"] == 0, name
        assert found["output_difference"] < 1e-5, name
    assert sum(found["spikes"] for found in first.values()) > 10_000


def test_segments_of_the_shipped_model_hold_the_body(shipped):
    manifest = json.loads((shipped / "manifest.json").read_text())
    assert manifest["synapses_in_segments"] == 4 * 13 * 256**2
    assert manifest["synapses"] == 4 * 13 * 256**2 + 256**2
    longest = [f["populations"] for name, f in manifest["segments"].items() if name == "block2_ffn_key"]
    assert longest == [["block2_ffn_key_lif", "block2_ffn_value_lif"]]


def test_segments_replay_in_the_event_simulator(shipped):
    for path in sorted((shipped / "segments").glob("block1*.nir")):
        record = np.load(path.with_suffix(".npz"))
        result = Simulator.from_nir(drive(read_foreign(path), record["input"])).run(np.arange(128), record=True)
        for name, spikes in result.spikes.items():
            assert np.array_equal(spikes, record[name]), name
        np.testing.assert_allclose(result.logits, record["output"], atol=1e-5)


def test_segment_files_hold_only_the_portable_nodes_in_the_portable_convention(shipped):
    for path in (shipped / "segments").glob("*.nir"):
        graph = nir.read(path)  # the stock reader, with its type check
        assert {type(n) for n in graph.nodes.values()} == {nir.Input, nir.Affine, nir.LIF, nir.Output}
        assert len(graph.edges) == len(graph.nodes) - 1
        for node in graph.nodes.values():
            if isinstance(node, nir.LIF):
                assert np.all(node.r == 1)
                assert not node.v_leak.any() and not node.v_reset.any()
                assert np.all(node.tau > exporter.DT)  # SpikingJelly refuses tau = dt
                assert all(len(np.unique(p)) == 1 for p in (node.tau, node.v_threshold))
            if isinstance(node, nir.Affine):
                assert not node.bias.any()


@pytest.mark.parametrize(
    ("variant", "expected"), [("canonical", 2), ("spike-driven", 13), (OLD, 12), ("continuous", 0)]
)
def test_segments_of_every_variant(variant, expected):
    graph = exporter.export(lively_model(variant))
    segments = cut(graph)
    assert len(segments) == len({s.name for s in segments}) == expected
    synapses = sum(n.weight.size for k, n in graph.nodes.items() if isinstance(n, nir.Linear) and k != "embedding")
    assert variant != "spike-driven" or sum(s.synapses for s in segments) == synapses
    if variant == "canonical":
        assert segments[0].chain == ("block0_att_output", "block0_att_lif")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_network_of_another_tool_runs_here_with_its_spikes(tool, tmp_path, monkeypatch, capsys):
    needs(tool)
    in_tool("foreign_networks.py", tool, tmp_path)
    # norse 1.1 multiplies its time constants by the dt of to_nir, 1e-3: they come out a thousandth of their steps.
    dt = 1e-6 if tool == "norse" else 1e-4
    arguments = [tmp_path / f"{tool}.nir", tmp_path / f"{tool}.npz", "--dt", dt, "--json"]
    monkeypatch.setattr(sys, "argv", ["spikegpt", "replay", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    facts = json.loads(capsys.readouterr().out)
    assert ended.value.code in (0, None)
    assert set(facts["mismatches"].values()) == {0}
    assert len(facts["mismatches"]) == 2
    assert min(facts["spikes"].values()) > 20
    assert facts["synops"] == 7 * next(iter(facts["spikes"].values()))  # the second matrix reads spikes


def test_random_convolutional_networks_of_another_tool_run_here_with_its_spikes(tmp_path):
    needs("spikingjelly")
    seeds = range(12)
    in_tool("foreign_maps.py", tmp_path, *seeds)
    kinds, total = set(), 0
    for seed in seeds:
        path = tmp_path / f"{seed}.nir"
        record, read = np.load(path.with_suffix(".npz")), read_foreign(path)
        kinds |= {type(node).__name__ for node in nir.read(path).nodes.values()}
        found = Simulator.from_nir(drive(read, record["input"])).run(np.arange(len(record["input"])), record=True)
        assert len(found.spikes) == 2
        for name, train in found.spikes.items():
            np.testing.assert_array_equal(train, record[name], err_msg=f"{seed}: {name}")
            total += int(train.sum())
    assert kinds >= {"Conv2d", "AvgPool2d", "Flatten", "Affine", "LIF", "IF"}
    assert total > 10_000


def chain(**changes) -> nir.NIRGraph:
    lif = {"tau": 2e-4, "r": 1.0, "v_leak": 0.0, "v_reset": 0.0, "v_threshold": 0.5, **changes}
    nodes = {
        "in": nir.Input({"input": np.array([3])}),
        "fc": nir.Affine(np.eye(2, 3, dtype=np.float32), np.array([0.25, 0], np.float32)),
        "lif": nir.LIF(**{k: np.array(v) for k, v in lif.items()}),
        "out": nir.Output({"output": np.array([2])}),
    }
    return nir.NIRGraph(nodes, [("in", "fc"), ("fc", "lif"), ("lif", "out")], type_check=False)


def replayed(graph: nir.NIRGraph, path: Path, inputs: np.ndarray, dt: float = 1e-4) -> np.ndarray:
    nir.write(path, graph, compression=None)
    driven = drive(read_foreign(path, dt), inputs)
    return Simulator.from_nir(driven).run(np.arange(len(inputs)), record=True).spikes["lif"]


def test_bias_resistance_leak_reset_and_time_step_of_a_foreign_lif_count(tmp_path):
    inputs = np.zeros((3, 3), np.float32)
    # v = 0.125, 0.1875, 0.21875 by the bias alone, at rate 1/2; each change brings a spike that was not there.
    assert not replayed(chain(), tmp_path / "a.nir", inputs).any()
    assert replayed(chain(r=4.0), tmp_path / "r.nir", inputs)[:, 0].tolist() == [0, 1, 0]
    assert replayed(chain(v_leak=0.75), tmp_path / "l.nir", inputs).tolist() == [[0, 0], [1, 1], [0, 0]]
    assert replayed(chain(v_threshold=0.1, v_reset=-1.0), tmp_path / "v.nir", inputs)[:, 0].tolist() == [1, 0, 0]
    scaled = replayed(chain(tau=2e-3, r=4.0), tmp_path / "t.nir", inputs, dt=1e-3)
    assert scaled[:, 0].tolist() == [0, 1, 0]


def test_what_cannot_be_driven_is_named(tmp_path):
    graph = chain()
    nir.write(tmp_path / "g.nir", graph, compression=None)
    read = read_foreign(tmp_path / "g.nir")
    with pytest.raises(UserError, match=r"inputs have shape \(4, 2\); 3 values a time step"):
        drive(read, np.zeros((4, 2)))
    with pytest.raises(UserError, match="finite"):
        drive(read, np.full((4, 3), np.nan))
    with pytest.raises(UserError, match="dt = 0"):
        read_foreign(tmp_path / "g.nir", 0)
    graph.nodes["lif"] = nir.LIF(*(np.ones(5) for _ in range(5)))
    nir.write(tmp_path / "w.nir", graph, compression=None)
    with pytest.raises(UserError, match=r"w.nir: node 'lif': tau holds 5 values for 2 neurons"):
        read_foreign(tmp_path / "w.nir")
