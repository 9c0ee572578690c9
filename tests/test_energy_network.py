"""The energy report of a network of another tool: counts by hand, its twins, the gate."""

import json
from itertools import pairwise

import nir
import numpy as np
import pytest

from hw_sim.energy import profiles
from hw_sim.energy.network import NETWORK, ONCE, TWIN, network_report
from hw_sim.energy.settings import Settings
from hw_sim.graph.foreign import read_foreign
from spikegpt import UserError

TOLD = {"network": "n", "recording": "x", "inputs_sha256": "0", "time_step": "t"}
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
    return network_report(read_foreign(path), inputs, Settings(priced=profiles.shipped()), **options, **TOLD)


def test_counts_are_those_by_hand_and_the_twin_does_every_weight(path):
    found = report(path, np.load(path.with_name("x.npy")))
    own, twin, once = (found.row(name) for name in (NETWORK, TWIN, ONCE))
    assert own.accumulates * 4 == 3 * 2 + 4 * 1  # three events to two neurons, which fire twice each
    assert (own.macs, own.graded, own.updates, own.spikes) == (0, 0, 3, 1.5)
    assert (twin.macs, twin.accumulates, twin.spikes) == (8, 0, 0)
    assert once.macs * 4 == twin.macs
    assert found.ratios[ONCE][COLUMN][0] * 4 == pytest.approx(found.ratios[TWIN][COLUMN][0])
    assert found.ratios[TWIN][COLUMN][0] == pytest.approx(twin.energy_j[COLUMN][0] / own.energy_j[COLUMN][0])
    assert any("count as spikes" in note for note in found.notes)


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
    assert {f.name for f in (tmp_path / "r").iterdir()} == {"report.json", "report.md", "manifest.json"}
    assert run("energy-report", path, "--data", data, "--baseline", tmp_path / "r")[0] == 0
    worse = json.loads((tmp_path / "r" / "report.json").read_text())
    worse["rows"][0]["accumulates"] /= 2
    (tmp_path / "w.json").write_text(json.dumps(worse))
    assert run("energy-report", path, "--data", data, "--baseline", tmp_path / "w.json")[0] == 1
    np.save(tmp_path / "y.npy", np.zeros((4, 3)))
    code, _, err = run("energy-report", path, "--data", tmp_path / "y.npy", "--baseline", tmp_path / "r")
    assert (code, "nothing to compare" in err) == (2, True)
