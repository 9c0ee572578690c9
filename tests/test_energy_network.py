"""The energy report of a network of another tool: counts by hand, its twins, the gate."""

import json
from itertools import pairwise

import nir
import numpy as np
import pytest

from exporters.energy_network import report_of_network
from hw_sim.energy import profiles
from hw_sim.energy.network.report import INT8, NETWORK, ONCE, TWIN
from hw_sim.energy.settings import Settings
from hw_sim.graph.foreign import read_foreign
from spikegpt import UserError

TOLD = {"network": "n", "recording": "x", "inputs_sha256": "0", "time_step": "t"}
SETTINGS = Settings(priced=profiles.shipped())
COLUMN = "45nm-compute-fp32"


@pytest.fixture
def path(tmp_path):
    """Three inputs, two neurons that fire at 1, one output neuron."""
    nodes = {
        "in": nir.Input({"input": np.array([3])}), "a": nir.Linear(np.ones((2, 3), np.float32)),
        "n": nir.IF(np.ones(2), np.full(2, 0.5)), "b": nir.Linear(np.ones((1, 2), np.float32)),
        "m": nir.IF(np.ones(1), np.full(1, 0.5)), "out": nir.Output({"output": np.array([1])}),
    }  # fmt: skip
    names = ["in", "a", "n", "b", "m", "out"]
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, list(pairwise(names))), compression=None)
    np.save(tmp_path / "x.npy", np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0]], np.float32))
    return tmp_path / "n.nir"


def report(path, inputs: np.ndarray, **options):
    return report_of_network(read_foreign(path), inputs, SETTINGS, **options, **TOLD)


def test_counts_are_those_by_hand_and_the_twin_does_every_weight(path):
    found = report(path, np.load(path.with_name("x.npy")))
    own, twin, once = (found.row(name) for name in (NETWORK, TWIN, ONCE))
    assert own.accumulates * 4 == 3 * 2 + 4 * 1  # three events to two neurons, which fire twice each
    assert (own.macs, own.graded, own.updates, own.spikes) == (0, 0, 3, 1.5)
    assert (twin.macs, twin.accumulates, twin.spikes) == (8, 0, 0)
    assert once.macs * 4 == twin.macs
    assert found.ratios[ONCE][COLUMN][0] * 4 == pytest.approx(found.ratios[TWIN][COLUMN][0])
    assert found.ratios[TWIN][COLUMN][0] == pytest.approx(twin.energy_j[COLUMN][0] / own.energy_j[COLUMN][0])
    assert any("taken for spikes" in note for note in found.notes)


def test_the_integer_network_is_placed_and_priced_on_a_chip(path):
    found = report(path, np.load(path.with_name("x.npy")))
    own, placed = found.row(NETWORK), found.row(INT8)
    assert placed.accumulates == own.accumulates  # all weights are 1: rounding keeps them
    assert placed.updates == own.updates + 3  # the inputs' spikes are sent by neurons of their own
    assert placed.spikes == own.spikes + 0.75
    assert {c.column for c in found.chips} == {"loihi1-presilicon", "loihi1-silicon"}
    for chip in found.chips:
        assert chip.total_j == pytest.approx(placed.energy_j[chip.column][0])
        assert chip.site.placement.populations == {"in_neurons": 3, "n": 2, "m": 1}
        assert chip.paces[0].tokens_per_s > chip.paces[1].tokens_per_s


def test_a_network_that_integers_cannot_hold_is_priced_without_a_chip_and_says_why(path):
    graph = read_foreign(path)
    graph.nodes["n"] = nir.IF(np.ones(2), np.full(2, 0.5), np.full(2, 0.1))
    found = report_of_network(graph, np.load(path.with_name("x.npy")), SETTINGS, **TOLD)
    assert (found.chips, [r.name for r in found.rows]) == ((), [NETWORK, TWIN, ONCE])
    assert any(n.startswith("not placed on a chip: node 'n'") for n in found.notes)


def test_a_placement_of_the_network_is_taken_and_one_of_another_refused(path, tmp_path, run):
    data = path.with_name("x.npy")
    assert run("export", path, "--target", "loihi", "--chip", "loihi1", "--data", data, "--out", tmp_path / "e")[0] == 0
    code, out, _ = run("energy-report", path, "--data", data, "--placement", tmp_path / "e", "--json")
    assert code == 0
    assert {c["site"]["how"] for c in json.loads(out)["chips"]} == {"as mapping.json declares"}
    other = json.loads((tmp_path / "e" / "mapping.json").read_text())
    other["placement"]["synapses"] += 1
    (tmp_path / "o.json").write_text(json.dumps(other))
    code, _, err = run("energy-report", path, "--data", data, "--placement", tmp_path / "o.json")
    assert (code, "the mapping of another network" in err) == (2, True)


def test_real_inputs_multiply_and_are_no_spikes(path):
    inputs = np.full((4, 3), 0.4, np.float32)
    assert report(path, inputs).row(NETWORK).macs == 6
    with pytest.raises(UserError, match="no spikes"):
        report(path, inputs, spike_input=True)


def test_the_command_writes_compares_and_refuses(path, tmp_path, run):
    data = path.with_name("x.npy")
    assert run("energy-report", path)[0] == 2
    code, out, _ = run("energy-report", path, "--data", data, "--out", tmp_path / "r", "--json")
    assert (code, json.loads(out)["steps"]) == (0, 4)
    assert {f.name for f in (tmp_path / "r").iterdir()} == {"report.json", "report.md", "report.html", "manifest.json"}
    assert run("energy-report", path, "--data", data, "--baseline", tmp_path / "r")[0] == 0
    gate = ("energy-report", path, "--data", data, "--baseline", tmp_path / "r", "--max-quality-loss", "2%")
    code, _, err = run(*gate)
    assert (code, "--max-quality-loss: of language models" in err) == (2, True)
    worse = json.loads((tmp_path / "r" / "report.json").read_text())
    worse["rows"][0]["accumulates"] /= 2
    (tmp_path / "w.json").write_text(json.dumps(worse))
    assert run("energy-report", path, "--data", data, "--baseline", tmp_path / "w.json")[0] == 1
    np.save(tmp_path / "y.npy", np.zeros((4, 3)))
    code, _, err = run("energy-report", path, "--data", tmp_path / "y.npy", "--baseline", tmp_path / "r")
    assert (code, "nothing to compare" in err) == (2, True)
