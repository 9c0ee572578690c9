"""The command line: the whole path on a tiny model, and a user's mistakes."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import spikegpt
from exporters import nir as exporter
from spikegpt import Config, SpikeGPT


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "tiny.pt"
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), path)
    return path


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"In the beginning God created the heaven and the earth. " * 40)
    return path


def test_help_and_version(run):
    assert run("--version")[1].strip() == f"spikegpt, version {spikegpt.__version__}"
    for command in ("tokenize", "train", "eval", "generate", "info", "export", "simulate", "energy-report"):
        code, out, _ = run(command, "--help")
        assert code == 0
        assert "Example:" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["energy-report", "--help"],
        ["profiles"],
        ["info", "--preset", "45m"],
        ["energy-report", "--preset", "260m", "--rate", "0.15"],
    ],
    ids=" ".join,
)
def test_what_reads_no_model_starts_without_torch_and_numba(arguments):
    code = (
        "import sys, cli.main\n"
        "sys.argv = ['spikegpt', *sys.argv[1:]]\n"
        "code = cli.main.run()\n"
        "found = {'torch', 'numba'} & sys.modules.keys()\n"
        "sys.exit(code or (f'{found} imported' if found else 0))"
    )
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout


def test_packages_of_the_users_with_our_names_do_not_stand_in_for_ours(request, tmp_path):
    root = request.config.rootpath
    for name in ("cli", "hw_sim"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "exporters.py").write_text("raise SystemExit('the wrong one')")
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), tmp_path / "m.pt")
    command = [sys.executable, "-m", "spikegpt", "export", "m.pt", "--target", "nir", "--out", "out"]
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "out" / "model.nir").exists()


def test_simulate_verifies_against_pytorch(run, checkpoint, text):
    code, out, _ = run("simulate", checkpoint, "--data", text, "--tokens", 60, "--verify", checkpoint, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["verify"]["spike_agreement"] == 1
    assert facts["verify"]["max_logit_difference"] < 1e-4
    assert facts["tokens"] == 60
    whole = json.loads(run("simulate", checkpoint, "--data", text, "--tokens", 5000, "--json")[1])
    assert whole["tokens"] == text.stat().st_size  # a user's file is not split unless asked for
    part = json.loads(run("simulate", checkpoint, "--data", text, "--split", "valid", "--json")[1])
    assert part["tokens"] == whole["tokens"] // 20
    assert "valid part" in part["text"]


def test_blocks_are_shown_together_unless_each_is_asked_for(run, text, tmp_path):
    torch.manual_seed(0)
    spikegpt.save(SpikeGPT(Config(256, 3, 16)), tmp_path / "m.pt")
    asked = ("simulate", tmp_path / "m.pt", "--data", text, "--tokens", 200)
    facts = json.loads(run(*asked, "--json")[1])
    (whole,) = [line for line in run(*asked)[1].splitlines() if line.startswith("block*_ffn_key ")]
    alike = [facts["matrices"][f"block{i}_ffn_key"] for i in range(3)]
    density, operations = (sum(m[key] for m in alike) for key in ("density", "operations"))
    assert whole.split()[1:] == ["spikes", f"{density / 3:.4f}", f"{operations / 200:,.0f}"]
    (neurons,) = [line for line in run(*asked)[1].splitlines() if line.startswith("block*_ffn_value_lif ")]
    assert neurons.split()[1] == f"{3 * 64}"
    each = run(*asked, "--by-block")[1]
    assert all(f"block{i}_ffn_key_lif " in each for i in range(3))
    assert "block*" not in each


def test_nir_export_then_simulation_of_the_file_gives_the_same_numbers(run, checkpoint, text, tmp_path):
    code, out, _ = run("export", checkpoint, "--target", "nir", "--out", tmp_path / "n")
    assert code == 0
    assert "model.nir" in out
    manifest = json.loads((tmp_path / "n" / "manifest.json").read_text())
    assert len(manifest["files"]["model.nir"]) == 64
    results = [
        json.loads(run("simulate", source, "--data", text, "--tokens", 50, "--json")[1])
        for source in (checkpoint, tmp_path / "n" / "model.nir")
    ]
    for facts in results:
        del facts["tokens_per_s"]
    assert results[0] == results[1]


def test_loihi_export_is_deterministic_and_replaces_an_older_one(run, checkpoint, tmp_path):
    for _ in range(2):
        code, out, _ = run("export", checkpoint, "--target", "loihi", "--out", tmp_path / "l")
        assert code == 0
    first = {f.name: f.read_bytes() for f in (tmp_path / "l").rglob("*") if f.is_file()}
    run("export", checkpoint, "--target", "loihi", "--out", tmp_path / "m")
    assert first == {f.name: f.read_bytes() for f in (tmp_path / "m").rglob("*") if f.is_file()}
    assert {"model-int8.nir", "weights.npz", "run.py", "mapping.json", "manifest.json"} <= set(first)
    assert "Loihi 2: 1 cores on 1 chip(s)" in out


def test_energy_report_writes_page_and_json(run, checkpoint, text, tmp_path):
    code, out, _ = run("energy-report", checkpoint, "--data", text, "--tokens", 80, "--out", tmp_path / "r", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "r" / "report.json").read_text())
    assert "<svg" in (tmp_path / "r" / "report.html").read_text()
    code, out, _ = run("energy-report", checkpoint, "--data", text, "--tokens", 80)
    assert "45nm-compute-fp32" in out


def test_eval_and_generate(run, checkpoint, text):
    code, out, _ = run("eval", checkpoint, "--data", text, "--split", "train", "--streams", 2, "--json")
    assert code == 0
    assert 7.5 < json.loads(out)["bits_per_byte"] < 8.5
    first = run("generate", checkpoint, "--prompt", "God", "--tokens", 5, "--seed", 1)
    assert first == run("generate", checkpoint, "--prompt", "God", "--tokens", 5, "--seed", 1)
    assert first[1].startswith("God")


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_a_nir_file_continues_a_prompt_as_its_checkpoint_does(run, tmp_path, temperature):
    torch.manual_seed(0)
    checkpoint = tmp_path / "seeded.pt"
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), checkpoint)
    exporter.write(exporter.export(spikegpt.load(checkpoint)), tmp_path / "tiny.nir")
    arguments = ["--tokens", 30, "--prompt", "God", "--temperature", temperature, "--seed", 3]
    expected = run("generate", checkpoint, *arguments)
    assert run("generate", tmp_path / "tiny.nir", *arguments) == expected
    assert len(expected[1].encode(errors="replace")) > 3 + 1


def test_generation_stops_at_the_given_text(run, request):
    shipped = request.config.rootpath / "models" / "kjv-spike-driven.pt"
    arguments = ["generate", shipped, "--tokens", 60, "--prompt", "And God said", "--temperature", 0]
    _, whole, _ = run(*arguments)
    _, cut, _ = run(*arguments, "--stop", "the")
    assert cut.endswith("the\n")
    assert whole.startswith(cut.rstrip("\n"))
    assert len(cut) < len(whole)


def test_info_tells_shape_and_size(run, checkpoint):
    facts = json.loads(run("info", checkpoint, "--json")[1])
    assert (facts["n_embd"], facts["variant"]) == (16, "spike-driven")
    assert facts["parameters"] == sum(p.numel() for p in spikegpt.load(checkpoint).parameters())
    assert "46,553,088" in run("info", "--preset", "45m")[1]


def test_train_from_the_command_line(run, text, tmp_path):
    arguments = ["--data", text, "--layers", 1, "--width", 16, "--steps", 4, "--batch", 2, "--ctx", 16]
    code, out, _ = run("train", *arguments, "--out", tmp_path / "run")
    assert code == 0
    assert "bits per byte" in out
    assert {"model.pt", "run.json", "log.csv"} <= {f.name for f in (tmp_path / "run").iterdir()}


def bad_inputs(folder, checkpoint):
    (folder / "cut.pt").write_bytes(checkpoint.read_bytes()[:500])
    (folder / "code.pt").write_bytes(pickle.dumps(print))
    (folder / "empty.txt").write_bytes(b"")
    (folder / "junk.nir").write_bytes(b"junk")
    import nir

    nir.write(folder / "other.nir", nir.NIRGraph.from_list(nir.Affine(np.eye(2), np.zeros(2))), compression=None)


@pytest.mark.parametrize(
    "command",
    [
        "simulate missing.pt", "simulate cut.pt", "simulate code.pt", "simulate junk.nir", "simulate other.nir",
        "simulate tiny.pt --data empty.txt", "simulate tiny.pt --data missing.txt", "simulate tiny.pt --tokens 1",
        "eval missing.pt", "generate tiny.pt --prompt=", "energy-report other.nir", "energy-report cut.pt --out r",
        "export tiny.pt --target abacus --out x", "export cut.pt --target loihi --out x", "export tiny.pt --target nir",
        "train --out x --data empty.txt", "info", "info missing.pt",
        "train --out x --lr 5", "train --out x --steps 0", "unknown",
    ],
)  # fmt: skip
def test_mistakes_give_one_clear_line_exit_code_2_and_no_output(command, run, checkpoint, tmp_path, monkeypatch):
    bad_inputs(tmp_path, checkpoint)
    monkeypatch.chdir(tmp_path)
    before = sorted(f.name for f in tmp_path.iterdir())
    code, out, err = run(*command.split())
    assert code == 2
    assert "Traceback" not in err
    assert err.strip()
    if not err.startswith("Usage"):
        assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert sorted(f.name for f in tmp_path.iterdir()) == before


def test_a_token_outside_the_vocabulary_is_named(run, tmp_path, text):
    spikegpt.save(SpikeGPT(Config(40, 1, 16)), tmp_path / "small.pt")
    code, _, err = run("simulate", tmp_path / "small.pt", "--data", text)
    assert code == 2
    assert "--tokenizer" in err
    code, _, err = run("simulate", tmp_path / "small.pt", "--data", text, "--tokenizer", "bytes")
    assert code == 2
    assert "256 tokens are more than the model's 40" in err
    exporter.write(exporter.export(spikegpt.load(tmp_path / "small.pt")), tmp_path / "small.nir")
    code, _, err = run("simulate", tmp_path / "small.nir", "--data", text, "--tokenizer", "bytes")
    assert code == 2
    assert "256 tokens are more than the model's 40" in err


def test_an_export_does_not_replace_a_folder_of_something_else(run, checkpoint, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    code, _, err = run("export", checkpoint, "--target", "nir", "--out", tmp_path / "mine")
    assert code == 2
    assert "did not write: thesis.tex" in err
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_int8_graph_is_not_reported_as_float(run, checkpoint, tmp_path):
    run("export", checkpoint, "--target", "loihi", "--out", tmp_path / "l")
    code, _, err = run("energy-report", tmp_path / "l" / "model-int8.nir")
    assert code == 2
    assert "int8" in err
    assert exporter.read(tmp_path / "l" / "model-int8.nir").nodes["block0_att_key"].weight.dtype == np.int8


def test_targets_are_listed_without_a_model(run):
    code, out, _ = run("export", "--target", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["nir", "onnx", "torch", "loihi", "sanafe"]


@pytest.mark.parametrize("target", ["nir", "loihi"])
def test_a_relative_folder_takes_an_export(run, checkpoint, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    assert run("export", checkpoint.name, "--target", target, "--out", "deep/out")[0] == 0
    assert (tmp_path / "deep" / "out" / "manifest.json").exists()
