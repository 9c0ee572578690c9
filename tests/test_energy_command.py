"""`energy-report` and `profiles` as typed: what-if, comparison, and users' mistakes."""

import json

import pytest

import spikegpt
from spikegpt import Config, SpikeGPT
from spikegpt.transformer import Transformer


@pytest.fixture
def models(tmp_path):
    paths = {}
    for variant in ("spike-driven", "canonical", "continuous"):
        paths[variant] = tmp_path / f"{variant}.pt"
        spikegpt.save(SpikeGPT(Config(256, 1, 16, variant)), paths[variant])
    paths["gpt"] = tmp_path / "gpt.pt"
    spikegpt.save(Transformer(Config(256, 1, 16, "transformer", ctx_len=32)), paths["gpt"])
    return paths


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"In the beginning God created the heaven and the earth. " * 10)
    return path


def test_models_side_by_side_are_measured_on_the_same_text(run, models, text, tmp_path):
    out = tmp_path / "r"
    command = ("energy-report", *models.values(), "--data", text, "--tokens", 80, "--json", "--out", out)
    code, printed, err = run(*command)
    assert code == 0, err
    rows = {row["name"]: row for row in json.loads(printed)["rows"]}
    for name in ("gpt-fp32", "spike-driven", "canonical", "continuous"):
        assert 6 < rows[name]["bits_per_byte"] < 10
    assert rows["gpt-int8"]["bits_per_byte"] is None
    assert rows["canonical"]["counts"] == rows["continuous"]["counts"] == "counted on the text"
    assert sorted(p.name for p in out.iterdir()) == [
        "manifest.json",
        "report-charts",
        "report.html",
        "report.json",
        "report.md",
    ]
    said = (out / "report.md").read_text()
    assert "| canonical | the published SpikeGPT block | 1 x 16 | counted on the text |" in said


def test_a_transformer_of_another_shape_is_a_row_of_its_own(run, models, text, tmp_path):
    spikegpt.save(Transformer(Config(256, 1, 64, "transformer", ctx_len=32)), tmp_path / "wide.pt")
    command = ("energy-report", models["spike-driven"], tmp_path / "wide.pt", "--data", text, "--tokens", 80, "--json")
    report = json.loads(run(*command)[1])
    rows = {row["name"]: row for row in report["rows"]}
    assert rows["gpt-fp32"]["bits_per_byte"] is None
    assert 6 < rows["transformer"]["bits_per_byte"] < 10
    assert rows["transformer"]["shape"]["d"] == 64
    assert report["equal_quality"]["available"]
    assert any("transformer" in v["between"] for v in report["equal_quality"]["verdicts"])


def test_runs_that_all_call_their_file_model_are_told_apart_by_their_folders(run, text, tmp_path):
    paths = []
    for name in ("sparse", "taught", "deep/sparse"):
        paths.append(tmp_path / name / "model.pt")
        spikegpt.save(SpikeGPT(Config(256, 1, 16, "spike-driven")), paths[-1])
    command = ("energy-report", *paths, "--data", text, "--tokens", 40, "--json")
    code, printed, err = run(*command)
    assert code == 0, err
    report = json.loads(printed)
    names = [row["name"] for row in report["rows"] if row["role"] in ("subject", "candidate")]
    assert len(set(names)) == 3
    assert names[1] == "spike-driven (taught)"
    assert "sparse" in names[0] and "deep/sparse" in names[2]
    assert any("spike-driven (taught) against" in f["text"] for f in report["findings"])
    named = json.loads(run(*command, "--name", "A", "--name", "B", "--name", "C")[1])
    assert [r["name"] for r in named["rows"] if r["role"] in ("subject", "candidate")] == ["A", "B", "C"]
    for wrong in (("--name", "A"), ("--name", "A", "--name", "A", "--name", "B"), ("--name", "gpt-x") * 3):
        assert run(*command, *wrong)[0] == 2


def test_the_context_is_the_one_the_checkpoint_was_trained_on(run, text, tmp_path):
    spikegpt.save(SpikeGPT(Config(256, 1, 16, "spike-driven", ctx_len=48)), tmp_path / "m.pt")
    command = ("energy-report", tmp_path / "m.pt", "--data", text, "--tokens", 40, "--json")
    report = json.loads(run(*command)[1])
    assert report["measurement"]["context"] == report["measurement"]["trained_context"] == 48
    far = json.loads(run(*command, "--context", 100)[1])
    assert "beyond" in next(r for r in far["rows"] if r["name"] == "gpt-fp32")["notes"][0]


def test_a_checkpoint_is_read_once_and_its_plans_are_built_once(run, models, text, monkeypatch):
    from hw_sim.run import simulator
    from spikegpt import checkpoint

    read, built = [], []
    reading, building = checkpoint.read_weights, simulator.build
    monkeypatch.setattr(checkpoint, "read_weights", lambda path: read.append(path) or reading(path))
    monkeypatch.setattr(simulator, "build", lambda graph: built.append(graph) or building(graph))
    code, _, err = run("energy-report", models["spike-driven"], "--data", text, "--tokens", 40)
    assert code == 0, err
    assert len(read) == 1
    assert len(built) == 2  # float and int8


def test_a_preset_needs_no_checkpoint_and_no_torch_time(run, tmp_path):
    rates = tmp_path / "rates.yaml"
    parts = ("att_key", "att_value", "att_receptance", "att_output", "ffn_key", "ffn_receptance", "ffn_value")
    rates.write_text("".join(f"{part}: 0.15\n" for part in parts))
    one = json.loads(run("energy-report", "--preset", "260m", "--rate", 0.15, "--json")[1])
    other = json.loads(run("energy-report", "--preset", "260m", "--rates", rates, "--json")[1])
    assert one["rows"] == other["rows"]
    assert one["model"]["weights"] == 13 * 24 * 768**2 + 768 * 50277


def test_profiles_are_listed_with_grade_and_source(run):
    listed = json.loads(run("profiles", "--json")[1])
    assert {"45nm-compute", "45nm-memory", "lemaire2022", "loihi1-presilicon", "loihi1-silicon", "paper-table1"} <= set(
        listed
    )
    assert all(p["grade"] and p["source"] for p in listed.values())
    assert "source:" in run("profiles")[1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--preset"),
        (("--preset", "tiny"), "--rate"),
        (("--preset", "tiny", "--rate", 0.1, "--profile", "loihi2"), "Loihi 2"),
        (("--preset", "tiny", "--rate", 0.1, "--profile", "missing.yaml"), "missing.yaml"),
        (("--preset", "tiny", "--rate", 0.1, "--placement", "missing.json"), "missing.json"),
        (("--preset", "tiny", "--rate", 0.1, "--baseline", "missing.json"), "missing.json"),
        (("--preset", "tiny", "--rate", 0.1, "--baseline", "x", "--max-increase", "much"), "much"),
    ],
)
def test_mistakes_end_with_one_line_and_2(run, arguments, named):
    code, out, err = run("energy-report", *arguments)
    assert code == 2
    assert named in err
    assert len(err.strip().splitlines()) == 1
    assert not out


def test_a_model_cannot_be_both_measured_and_assumed(run, models, text):
    code, _, err = run("energy-report", models["spike-driven"], "--data", text, "--rate", 0.1)
    assert code == 2
    assert "--rate goes with --preset" in err
    code, _, err = run("energy-report", models["gpt"], "--data", text)
    assert code == 2
    assert "gpt-fp32" in err


def test_the_report_of_a_nir_file_is_json_whatever_its_model_says_of_itself(run, text, tmp_path):
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), tmp_path / "m.pt", provenance={"train_lr": 0.005, "train_steps": 3})
    assert run("export", tmp_path / "m.pt", "--target", "nir", "--out", tmp_path / "nir")[0] == 0
    code, out, err = run("energy-report", tmp_path / "nir", "--data", text, "--tokens", 40, "--json")
    assert code == 0, err
    assert json.loads(out)["provenance"]["source_train_lr"] == 0.005
