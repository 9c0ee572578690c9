"""The gate, chips and placements as typed: exit codes, what a CI is told, and mappings of other networks refused."""

import hashlib
import json
import shlex
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
import yaml

import spikegpt
from hw_sim.energy.placement import Placement
from spikegpt import Config, SpikeGPT

COMMAND = ("energy-report", "--preset", "tiny", "--profile", "45nm-compute", "--profile", "loihi1-silicon")


@pytest.fixture
def baseline(run, tmp_path):
    assert run(*COMMAND, "--rate", 0.1, "--out", tmp_path / "old")[0] == 0
    return tmp_path / "old" / "report.json"


def test_a_pass_says_what_was_compared(run, baseline):
    code, out, err = run(*COMMAND, "--rate", 0.1, "--baseline", baseline, "--json")
    assert code == 0, err
    json.loads(out)  # the comparison does not mix with it
    for said in ("45nm-compute-fp32", "all operations", "loihi1-silicon, dynamic", "+0.00%", "No regression"):
        assert said in err
    assert "quality not measured" in err


def test_a_regression_ends_with_1_and_tells_the_ci(run, baseline, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("before\n")
    code, _, err = run(*COMMAND, "--rate", 0.15, "--baseline", baseline, "--junit", tmp_path / "junit.xml")
    assert code == 1
    assert "::error title=Energy gate::all operations of spike-driven +" in err
    assert (tmp_path / "summary.md").read_text().startswith("before\n### Energy gate\n\nRegressed")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert int(suite.get("failures")) > 2
    assert run(*COMMAND, "--rate", 0.15, "--baseline", baseline, "--max-increase", "60%")[0] == 0


def test_junit_takes_no_place_of_what_is_not_ours(run, baseline, tmp_path):
    (tmp_path / "thesis.xml").write_text("<years/>")
    code, _, err = run(*COMMAND, "--rate", 0.1, "--baseline", baseline, "--junit", tmp_path / "thesis.xml")
    assert code == 2
    assert "not a file that this tool wrote" in err
    assert (tmp_path / "thesis.xml").read_text() == "<years/>"


def test_the_job_to_copy_runs_as_it_is_written(run, request, tmp_path, monkeypatch):
    text = (request.config.rootpath / "docs" / "energy-gate.yml").read_text()
    (job,) = yaml.safe_load(text)["jobs"].values()
    steps = [step["run"] for step in job["steps"] if step.get("run", "").startswith("spikegpt ")]
    accepted = [line[1:].strip() for line in text.splitlines() if line.startswith("#   spikegpt ")]
    monkeypatch.chdir(tmp_path)
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), "model.pt")
    Path("text.txt").write_text("In the beginning God created the heaven and the earth. " * 60)
    assert (len(accepted), len(steps)) == (1, 1)
    for command in (*accepted, *steps, *steps):
        code, _, err = run(*shlex.split(command)[1:])
        assert code == 0, err
    assert ElementTree.parse("out/junit.xml").getroot().get("failures") == "0"


def test_a_dead_model_is_a_regression_and_no_praise(run, baseline):
    code, out, err = run(*COMMAND, "--rate", 0, "--baseline", baseline)
    assert code == 1
    assert "spike-driven is dead (density 0" in err
    assert "spike-driven is dead" in out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--context", 17), "context"),
        (("--batch", 3), "batch"),
        (("--mode", "mean"), "mode"),
        (("--precision", "fp32"), "column 45nm-compute-int8"),
        (("--profile", "45nm-memory"), "profile 45nm-memory"),
        (("--tokens-per-s", 10), "tokens_per_s"),
    ],
)
def test_another_setting_is_named_and_ends_with_2(run, baseline, options, named):
    code, _, err = run(*COMMAND, "--rate", 0.1, *options, "--baseline", baseline)
    assert code == 2
    assert named in err.splitlines()[-1]
    code, _, err = run("energy-report", "--preset", "45m", *COMMAND[3:], "--rate", 0.1, "--baseline", baseline)
    assert code == 2
    assert "n_layer 4 there, 12 here" in err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--max-increase", "5", "--baseline", "x"), "per cent"),
        (("--max-increase", "0.05", "--baseline", "x"), "per cent"),
        (("--max-quality-loss", "1"), "--max-quality-loss"),
        (("--junit", "j.xml"), "--baseline"),
        (("--compressors",), "--preset"),
        (("--measure-host",), "--preset"),
    ],
)
def test_mistakes_end_with_one_line_and_2(run, options, named):
    code, out, err = run(*COMMAND, "--rate", 0.1, *options)
    assert (code, out) == (2, "")
    assert named in err
    assert len(err.strip().splitlines()) == 1


def test_all_chips_of_a_shape_take_static_power_at_the_stated_rate(run):
    options = ("--preset", "260m", "--rate", 0.15, "--profile", "loihi1-silicon", "--tokens-per-s", 100, "--json")
    report = json.loads(run("energy-report", *options)[1])
    (chip,) = report["chips"]
    assert chip["site"]["chips"] == 12
    assert chip["static_j"] == pytest.approx(12 * 0.104 / 100)
    row = next(r for r in report["rows"] if r["role"] == "subject")
    assert row["energy_j"]["loihi1-silicon"] == pytest.approx(chip["dynamic_j"] + chip["static_j"])
    assert "12 chip(s) of 104 mW at an assumed 100 tokens/s" in report["verdicts"]["loihi1-silicon"]
    assert "messages and hops, as nothing was mapped" in report["verdicts"]["loihi1-silicon"]


def tiny_placement(**changes) -> dict:
    parts = dict.fromkeys(("att_key", "att_value", "att_receptance", "att_output", "ffn_key", "ffn_receptance"), 256)
    populations = {f"block{i}_{k}_lif": n for i in range(4) for k, n in (parts | {"ffn_value": 1024}).items()}
    placement = Placement(
        chip="Loihi 1", cores=30, chips=2, populations=populations, synapses=13 * 4 * 256**2, messages_per_token=100,
        hops_ew_per_token=10, hops_ns_per_token=20, graded_messages_per_token=7,
    )  # fmt: skip
    return {"placement": msgspec.to_builtins(placement) | changes}


def test_a_placement_prices_messages_and_hops_and_brings_its_chips(run, tmp_path):
    path = tmp_path / "mapping.json"
    path.write_text(json.dumps(tiny_placement()))
    report = json.loads(run(*COMMAND, "--rate", 0.1, "--placement", path, "--json")[1])
    row = next(r for r in report["rows"] if r["role"] == "subject")
    terms = row["energy_terms_j"]["loihi1-silicon"]
    assert terms["messages"] == pytest.approx(100 * 111e-12)
    assert terms["hops"] == pytest.approx(10 * 3.0e-12 + 20 * 4.2e-12)
    assert terms["static power"] == pytest.approx(2 * 0.104 / 1000)
    assert row["energy_j"]["loihi1-silicon"] == pytest.approx(sum(terms.values()))
    assert "messages" not in row["unpriced"]["loihi1-silicon"]
    assert "30 cores on 2 chip(s), as mapping.json declares" in report["verdicts"]["loihi1-silicon"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"synapses": 1}, "another network"),
        ({"populations": {"block0_att_key_lif": 256}}, "another network"),
        ({"chip": "Loihi 2"}, "onto Loihi 2, which no profile prices"),
        ({"cores": 0}, "placement.cores = 0"),
    ],
)
def test_a_placement_of_another_network_or_chip_is_refused(run, tmp_path, changes, named):
    path = tmp_path / "mapping.json"
    path.write_text(json.dumps(tiny_placement(**changes)))
    code, out, err = run(*COMMAND, "--rate", 0.1, "--placement", path)
    assert (code, out) == (2, "")
    assert named in err
    assert len(err.strip().splitlines()) == 1


def test_a_measured_model_is_priced_in_int8_with_its_text_named(run, tmp_path):
    """The float row has no price on a chip; the interval, the bytes read, compressors and seconds are in the report."""
    path, text = tmp_path / "m.pt", tmp_path / "text.txt"
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), path)
    text.write_bytes(b"In the beginning God created the heaven and the earth. " * 40)
    options = ("--data", text, "--split", "test", "--tokens", 90, *COMMAND[3:])
    code, out, err = run("energy-report", path, *options, "--compressors", "--measure-host", "--json")
    assert code == 0, err
    report = json.loads(out)
    energy = {r["role"]: r["energy_j"]["loihi1-silicon"] for r in report["rows"]}
    assert energy["subject"] is None
    assert energy["int8"] > 0
    assert report["chips"][0]["row"].endswith("-int8")
    read = report["measurement"]["text"]
    assert (read["offset"], read["tokens"]) == (2200 * 95 // 100, 90)
    by_hand = text.read_bytes()[2090:2180]
    assert read["sha256"] == hashlib.sha256(by_hand).hexdigest()
    assert {c["name"] for c in report["compressors"]} == {"xz", "zstd", "bzip2", "gzip"}
    assert all(c["training_bytes"] == 1980 for c in report["compressors"])
    assert [w["name"] for w in report["host"]["workloads"]] == [
        "simulator, float32", "simulator, int8", "PyTorch, float32"
    ]  # fmt: skip
    assert report["host"]["joules"] or report["host"]["what"].startswith("no joules")
    assert report["systems"]
