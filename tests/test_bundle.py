"""The exported Loihi folder: complete, deterministic, exact in lava-dl, and alive without this project."""

import json
import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from exporters import nir as exporter
from exporters.loihi import agreement, cost, netx
from exporters.loihi.lava import supervisor
from exporters.targets import export_to
from hw_sim import Simulator
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan import fixed_point as fp
from spikegpt import Config, SpikeGPT
from spikegpt.folders import digest
from tests.conftest import PYTHON310, lively_model

lava = pytest.mark.lava


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """An export that tests only read."""
    folder = tmp_path_factory.mktemp("bundle") / "out"
    export_to("loihi", exporter.export(lively_model("spike-driven", n_embd=16)), folder)
    return folder


def test_bundle_holds_all_that_a_user_needs_and_its_manifest_names_every_file(bundle):
    files = {str(f.relative_to(bundle)) for f in bundle.rglob("*") if f.is_file()}
    assert {"model.nir", "model-int8.nir", "weights.npz", "run.py", "README.md", "quantisation.json"} <= files
    assert {"blocks/block0_ffn_key.net", "blocks/block1_ffn_key.net"} <= files
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert all(digest(bundle / name) == known for name, known in manifest["files"].items())


def test_two_exports_at_different_times_hold_the_same_bytes(bundle, tmp_path):
    first = (bundle / "manifest.json").stat().st_mtime
    while time.time() < first + 2.1:  # a zip holds times to two seconds
        time.sleep(0.1)
    export_to("loihi", exporter.export(lively_model("spike-driven", n_embd=16)), tmp_path / "out")
    contents = [
        {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
        for folder in (bundle, tmp_path / "out")
    ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_a_net_file_is_the_spiking_chain_of_the_plan(tau, tokens, tmp_path):
    """Read by h5py and stepped by the specification: the spikes of the simulator."""
    simulator = Simulator.from_nir(quantize(exporter.export(lively_model("spike-driven", tau=tau))))
    spikes = simulator.run(tokens, record=True).spikes
    facts = netx.write_nets(simulator.plan, tmp_path / "blocks")
    assert [f["matrix"] for f in facts] == ["block0_ffn_key", "block1_ffn_key"]
    for fact in facts:
        with h5py.File(tmp_path / "blocks" / fact["file"]) as file:
            layer = file["layer/1"]
            weight, threshold = layer["weight"][()].astype(np.int64), layer["neuron/vThMant"][()].astype(np.int64)
            decay = np.full(len(weight), layer["neuron/vDecay"][()], np.int64)
        v, ours = np.zeros(len(weight), np.int64), []
        for drive in spikes[fact["spikes_of"]].astype(np.int64):
            fired, v = fp.lif(weight @ drive, v, decay, threshold)
            ours.append(fired)
        assert np.array_equal(np.array(ours), spikes[fact["lif"]])


@pytest.mark.parametrize("variant, found", [("canonical", []), ("continuous", [])])
def test_a_matrix_whose_sum_no_lif_reads_alone_gets_no_net_file(variant, found):
    plan = build(quantize(exporter.export(lively_model(variant))))
    assert [chain.matrix for chain in netx.chains(plan)] == found


@lava
@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_lava_dl_loads_a_net_file_and_gives_the_simulators_spikes(tau, tokens, tmp_path):
    try:
        distribution("lava-dl")
    except PackageNotFoundError:
        pytest.skip("lava-dl is not installed")
    model = lively_model("spike-driven", tau=tau)
    model.blocks[1].ffn.key.weight.data *= 4 * tau
    simulator = Simulator.from_nir(quantize(exporter.export(model)))
    spikes = simulator.run(tokens, record=True).spikes
    netx.write_nets(simulator.plan, tmp_path / "blocks")
    np.save(tmp_path / "input.npy", spikes["block1_ffn_key_lif"])
    net = tmp_path / "blocks" / "block1_ffn_key.net"
    supervisor.supervise([sys.executable, "-m", "tests.netx_chain", str(net), str(tmp_path)], tmp_path, 120)
    theirs = np.load(tmp_path / "output.npy")
    assert theirs.sum() > 100
    assert np.array_equal(theirs, spikes["block1_ffn_value_lif"])


OWN_PACKAGES = (
    "numpy",
    "numpy.libs",
    "scipy",
    "scipy.libs",
    "networkx",
    "asteval",
    "lava",
)  # what lava-nc 0.10 imports


@pytest.fixture(scope="module", params=["here", pytest.param("3.10", marks=pytest.mark.python310)])
def lava_python(request, tmp_path_factory) -> Path:
    """An interpreter whose environment holds lava-nc and what that needs, and nothing else.

    `here` is this interpreter with links to those packages; `3.10` is as on a Loihi host.
    """
    if request.param == "3.10":
        return PYTHON310
    spec = find_spec("numpy")
    assert spec is not None and spec.origin is not None
    ours = Path(spec.origin).parents[1]
    env = tmp_path_factory.mktemp("separate") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    (packages,) = env.glob("lib/python*/site-packages")
    for name in OWN_PACKAGES:
        if (ours / name).exists():
            (packages / name).symlink_to(ours / name)
    return env / "bin" / "python"


def alone(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run an interpreter in `folder` with nothing of this session on its path."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
    return subprocess.run([python, *arguments], cwd=folder, env=env, capture_output=True, text=True)


@lava
def test_bundle_runs_without_torch_and_without_this_project(lava_python, bundle, tokens, tmp_path):
    """In another environment, bit for bit what the simulator gives here; the folder is not touched by it."""
    for name in ("torch", "numba", "nir", "spikegpt", "hw_sim", "exporters"):
        done = alone(lava_python, tmp_path, "-c", f"import {name}")
        assert f"No module named '{name}'" in done.stderr
    np.save(tmp_path / "tokens.npy", tokens[:20])
    before = sorted(bundle.rglob("*"))
    done = alone(
        lava_python, bundle, "run.py", "--tokens", str(tmp_path / "tokens.npy"), "--out", str(tmp_path / "r.npz")
    )
    assert "bits per token over 19 tokens" in done.stdout, done.stderr
    assert sorted(bundle.rglob("*")) == before
    expected = Simulator.from_nir(bundle / "model-int8.nir").run(tokens[:20], record=True)
    with np.load(tmp_path / "r.npz") as theirs:
        assert np.array_equal(theirs["logits"], expected.logits)
        assert sum(expected.spike_counts.values()) > 100
        for name, train in expected.spikes.items():
            assert np.array_equal(theirs[name], train)


@lava
def test_bundle_reports_a_token_out_of_range_and_missing_lava_in_one_line(bundle, tmp_path):
    np.save(tmp_path / "tokens.npy", np.array([1, 50]))
    done = alone(Path(sys.executable), bundle, "run.py", "--tokens", str(tmp_path / "tokens.npy"))
    assert done.returncode == 2
    assert "at least 2 tokens of 0 to 49 are needed" in done.stderr
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "real.npy", np.array([1.5, 2.0]))
    for arguments, reason in (
        (("--text", "In the beginning"), "are not bytes"),
        (("--tokens", str(bundle / "weights.npz")), "whole numbers"),
        (("--tokens", str(tmp_path / "real.npy")), "whole numbers"),
        (("--tokens", str(tmp_path / "empty.npy")), "run.py: "),
    ):
        done = alone(Path(sys.executable), bundle, "run.py", *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert reason in done.stderr


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "text"
    torch.manual_seed(0)
    model = SpikeGPT(Config(256, 1, 16))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.5)
    export_to("loihi", exporter.export(model.eval()), folder)
    return folder


@pytest.fixture
def text_bundle(pristine, tmp_path) -> Path:
    """An export, free to be changed, of a model whose tokens are bytes."""
    return shutil.copytree(pristine, tmp_path / "text")


@lava
def test_verify_runs_all_executions_and_ends_with_the_verdict(run, text_bundle):
    code, out, err = run("verify", text_bundle, "--tokens", 24)
    assert code == 0
    assert len(err.splitlines()) == 1  # what text it was measured on
    assert "Lava, one process a block" in out
    assert "Lava, standard processes" in out
    assert out.splitlines()[-1] == "agree: 4 executions give the same spikes and logits, bit for bit"


@lava
def test_simulate_takes_the_folder_and_an_interpreter(run, text_bundle):
    arguments = ["--backend", "lava", "--lava-python", sys.executable, "--tokens", 12, "--json"]
    code, out, _ = run("simulate", text_bundle, *arguments)
    facts = json.loads(out)
    assert code == 0
    assert facts["precision"] == "int8"
    assert facts["lava"]["equal_logits"]


def test_verify_names_files_that_changed_since_the_export(run, text_bundle):
    (text_bundle / "lava_runtime" / "hw_sim" / "plan" / "fixed_point.py").write_text("ONE = 1\n")
    (text_bundle / "blocks" / "block0_ffn_key.net").unlink()
    code, out, _ = run("verify", text_bundle)
    assert code == 1
    verdict = out.splitlines()[-1]
    assert verdict.startswith("DISAGREE: changed since the export: ")
    assert "lava_runtime/hw_sim/plan/fixed_point.py" in verdict
    assert "blocks/block0_ffn_key.net" in verdict
    code, out, _ = run("verify", text_bundle, "--json")
    assert code == 1
    assert json.loads(out)["agree"] is False


def test_verify_tells_a_wrong_execution_from_a_right_one(run, text_bundle, monkeypatch):
    """One spike flipped in one execution: its population is named, the verdict says so, exit code 1."""

    def wrong(plan, tokens, python, progress):
        logits, spikes = agreement.interpret(plan, tokens, python, progress)
        spikes["block0_att_key_lif"][3, 2] ^= 1
        return logits, spikes

    def impossible(plan, tokens, python, progress):
        raise agreement.NotRun("needs 1,000 processes")

    executions = (
        agreement.Execution("right", agreement.interpret, 16),
        agreement.Execution("wrong", wrong, 16),
        agreement.Execution("large", impossible),
    )
    monkeypatch.setattr(agreement, "EXECUTIONS", executions[::2])
    code, out, _ = run("verify", text_bundle, "--tokens", 20)
    assert code == 0
    assert out.splitlines()[-1] == "agree: 2 executions give the same spikes and logits, bit for bit; not run: large"
    assert "needs 1,000 processes" in out
    monkeypatch.setattr(agreement, "EXECUTIONS", executions)
    code, out, _ = run("verify", text_bundle, "--tokens", 20)
    assert code == 1
    assert out.splitlines()[-1] == "DISAGREE: wrong differ from the event simulator"
    assert "wrong: 1 spikes of block0_att_key_lif differ" in out


def test_verify_refuses_what_is_no_loihi_export(run, text_bundle, tmp_path):
    code, _, err = run("verify", tmp_path)
    assert code == 2
    assert "holds no manifest.json" in err
    manifest = json.loads((text_bundle / "manifest.json").read_text())
    for damage in ({"target": "onnx"}, {"files": {"../../etc/passwd": "0"}}, {"files": 3}):
        (text_bundle / "manifest.json").write_text(json.dumps({**manifest, **damage}))
        code, out, err = run("verify", text_bundle)
        assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_quantisation_report_by_hand():
    """A matrix on its grid costs nothing; half a step off in one of four weights costs what arithmetic says."""
    q = np.array([[127, 2, 0, 1], [127, 2, 0, 1]], np.int8)
    w = q.astype(np.float32) / 127
    w[1, 2] = 0.5 / 127
    found = cost.worst_channel(w, q)
    assert found["worst_channel"] == 1
    assert found["relative_error"] == pytest.approx(0.5 / np.sqrt(127**2 + 4 + 1 + 0.25))
    assert cost.worst_channel(w[:1], q[:1])["relative_error"] < 1e-7


def test_ranges_are_those_of_the_signals_before_they_saturate(tokens):
    plan = build(quantize(exporter.export(lively_model("spike-driven", tau=2.0))))
    before = {r.kind: r for r in cost.largest_numbers(plan, tokens[:20])}
    assert set(before) == {"matrix sum", "LIF input", "membrane", "WKV numerator", "LayerNorm input", "message"}
    assert before["membrane"].largest >= before["LIF input"].largest << fp.CURRENT_SHIFT - 1
    # the first scale in front of a LIF 1024 times as large: its LIF's input outgrows 18 bits and is reported so
    row = plan.names.index("block0_att_gain")
    c, n = plan.field("c")[row], plan.field("n_out")[row]
    plan.constants[c : c + n] *= 1024
    after = {r.kind: r for r in cost.largest_numbers(plan, tokens[:20])}
    assert after["LIF input"].node == "block0_att_output_lif"
    assert after["LIF input"].headroom_bits < 0
