"""Networks of other tools on the way to Loihi: int8, their inputs built in, bit for bit in Lava; refused elsewhere."""

import json
from itertools import pairwise

import nir
import numpy as np
import pytest
import torch

import spikegpt
from exporters.loihi.lava import supervisor
from exporters.loihi.lava.standard import runner
from exporters.loihi.settings import Settings
from exporters.targets import export_to
from hw_sim import Simulator
from hw_sim.graph.files import read
from hw_sim.graph.foreign import drive, read_foreign, with_input_neurons
from hw_sim.graph.to_plan import build
from hw_sim.plan import Plan
from tests.conftest import lively_model

STEPS = 16


@pytest.fixture
def files(tmp_path):
    """A convolution, a pool, and a layer with a bias behind them; events as inputs."""
    rng = np.random.default_rng(4)
    kernel = rng.normal(size=(3, 2, 3, 3)).astype(np.float32)
    nodes = {
        "in": nir.Input({"input": np.array([2, 6, 6])}),
        "c": nir.Conv2d((6, 6), kernel, 1, 1, 1, 1, np.zeros(3, np.float32)),
        "a": nir.IF(np.array(1e4), np.array(1.0)),
        "p": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "f": nir.Flatten({"input": np.array([3, 3, 3])}, 0, -1),
        "l": nir.Affine(rng.normal(size=(7, 27)).astype(np.float32), rng.normal(size=7).astype(np.float32)),
        "n": nir.LIF(*(np.full(7, v) for v in (4e-4, 2.0, 0.0, 1.0, 0.0))),
        "out": nir.Output({"output": np.array([7])}),
    }
    chain = ("in", "c", "a", "p", "f", "l", "n", "out")
    nir.write(tmp_path / "net.nir", nir.NIRGraph(nodes, list(pairwise(chain)), type_check=False), compression=None)
    np.save(tmp_path / "x.npy", rng.random((STEPS, 2, 6, 6)) < 0.3)
    return tmp_path


@pytest.fixture(params=["numbers", "spikes"])
def exported(files, request):
    graph = drive(read_foreign(files / "net.nir"), np.load(files / "x.npy"), request.param == "spikes")
    made = export_to("loihi", with_input_neurons(graph), files / "out", settings=Settings(recording="x.npy"))
    return files / "out", made, request.param == "spikes"


def test_the_export_holds_the_integer_network_with_its_inputs(exported):
    folder, manifest, spikes = exported
    assert manifest["measured"]["recording"] == "x.npy"
    assert manifest["measured"]["steps"] == STEPS
    assert manifest["spike_agreement"] > 0.9
    plan = Plan.load(folder / "weights.npz")
    assert plan.digest == build(read(folder / "model-int8.nir")).digest
    result = Simulator(plan).run(np.arange(STEPS), record=True)
    assert all(train.any() and not train.all() for train in result.spikes.values())
    mapping = json.loads((folder / "mapping.json").read_text())
    assert mapping["placement"]["populations"].keys() == {"a", "n"} | ({"in_neurons"} if spikes else set())
    first_layer = 7776  # the synapses of the convolution, which is on the chip where spikes reach it
    assert mapping["synapses"] == (first_layer if spikes else 0)


@pytest.mark.lava
def test_lava_gives_every_spike_of_it_in_both_networks(exported):
    plan = Plan.load(exported[0] / "weights.npz")
    ours = Simulator(plan).run(np.arange(STEPS), record=True)
    for run in (supervisor.run, runner.run):
        theirs = run(plan, np.arange(STEPS))
        assert np.array_equal(theirs.logits, ours.logits)
        assert all(np.array_equal(theirs.spikes[name], train) for name, train in ours.spikes.items())


def test_the_command_builds_the_inputs_in_and_checks_before_it(files, run):
    net, out = files / "net.nir", files / "made"
    assert run("check", net, "--target", "loihi", "--data", files / "x.npy")[0] == 0
    code, _, err = run("export", net, "--target", "loihi", "--out", out)
    assert (code, "--data names the inputs" in err) == (2, True)
    code, _, err = run("export", net, "--target", "onnx", "--out", out)
    assert (code, "loihi and sanafe alone take it" in err) == (2, True)
    assert not out.exists()
    assert run("export", net, "--target", "loihi", "--data", files / "x.npy", "--out", out)[0] == 0
    code, _, err = run("verify", out, "--data", "kjv")
    assert (code, "built in" in err) == (2, True)


def test_a_loop_runs_block_by_block_and_not_in_lavas_own_processes(files, run):
    rng = np.random.default_rng(4)
    nodes = {"in": nir.Input({"input": np.array([3])}), "w": nir.Linear(rng.normal(size=(6, 3)).astype(np.float32)),
             "n": nir.LIF(*(np.full(6, v) for v in (2e-4, 1.0, 0.0, 0.4, 0.0))),
             "r": nir.Linear(rng.normal(size=(6, 6)).astype(np.float32)),
             "out": nir.Output({"output": np.array([6])})}  # fmt: skip
    edges = [("in", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "out")]
    nir.write(files / "loop.nir", nir.NIRGraph(nodes, edges, type_check=False), compression=None)
    np.save(files / "y.npy", rng.normal(size=(STEPS, 3)))
    code, out, _ = run("check", files / "loop.nir", "--target", "loihi")
    assert (code, "feeds back to itself within one token" in out) == (1, True)
    graph = drive(read_foreign(files / "loop.nir"), np.load(files / "y.npy"))
    manifest = export_to("loihi", graph, files / "loop", settings=Settings(recording="y.npy"))
    assert manifest["spike_agreement"] > 0.9


@pytest.mark.parametrize("command", ["export", "check", "count", "energy-report"])
def test_options_that_say_nothing_of_the_file_are_refused(files, run, command):
    net, out = files / "net.nir", ("--out", files / "made") if command in ("export", "energy-report") else ()
    target = ("--target", "loihi") if command in ("export", "check") else ()
    code, _, err = run(command, net, *target, *out, "--data", files / "x.npy", "--variant", "canonical")
    assert (code, "--variant and --embedding are of a checkpoint" in err) == (2, True)
    code, _, err = run(command, "shipped:kjv", *target, *out, "--dt", "1e-4")
    assert (code, "--dt and --convention are of" in err) == (2, True)


def test_what_is_said_of_a_checkpoint_beside_a_nir_file_is_of_the_checkpoint(run, tmp_path):
    """Of two files only one needs to be told what it is."""
    model = lively_model("spike-driven", 1, 16)
    spikegpt.save(model, tmp_path / "m.pt")
    torch.save(model.state_dict(), tmp_path / "flat.pth")
    assert run("export", tmp_path / "m.pt", "--target", "nir", "--out", tmp_path / "n")[0] == 0
    ids = tmp_path / "ids.npy"
    np.save(ids, np.arange(40) % 50)
    said = ("--variant", "canonical")  # wrong of the checkpoint: refused as such, not as an option of the .nir file
    _, _, err = run("simulate", tmp_path / "n", "--data", ids, "--tokens", 20, "--verify", tmp_path / "flat.pth", *said)
    assert "a .nir file says itself" not in err
    _, _, err = run("simulate", tmp_path / "n", "--data", ids, "--tokens", 20, *said)
    assert "a .nir file says itself" in err


def test_a_folder_that_holds_the_recording_is_not_replaced(files, run):
    out = files / "made"
    assert run("export", files / "net.nir", "--target", "loihi", "--data", files / "x.npy", "--out", out)[0] == 0
    (files / "x.npy").rename(out / "x.npy")
    code, _, err = run(
        "export", files / "net.nir", "--target", "loihi", "--data", out / "x.npy", "--out", out, "--force"
    )
    assert (code, "which is read" in err or "x.npy" in err) == (2, True)
    assert (out / "x.npy").exists()
