"""The gate: compares like with like or says what differs; fires on each kind of loss; its forms are what a CI reads."""

import copy
import json
from xml.etree import ElementTree

import msgspec
import pytest

from hw_sim.energy.gate import Compared, Limits, compare, differences, read_baseline, share
from hw_sim.energy.gate_forms import annotations, cells, junit, sentence, summary
from hw_sim.energy.schema import SCHEMA
from spikegpt import UserError

ROW = {
    "name": "spike-driven", "role": "subject", "synops": 1000.0, "all_operations": 1500.0, "effective_acs": 900.0,
    "energy_j": {"45nm-memory-fp32": 2e-6, "45nm-memory-int8": 5e-7, "loihi1-silicon": None}, "bits_per_byte": 2.0,
    "energy_terms_j": {"45nm-memory-fp32": {"accumulates": 2e-6}, "45nm-memory-int8": {"accumulates": 5e-7}},
    "text_sha256": "ab" * 32,
}  # fmt: skip
INT8 = ROW | {"name": "spike-driven-int8", "role": "int8", "energy_j": {"45nm-memory-int8": 4e-7}}
CHIP = {
    f"rows__2__{key}": value
    for key, value in {
        "energy_j": {"45nm-memory-int8": 4e-7, "loihi1": 100e-6},
        "energy_terms_j": {"loihi1": {"accumulates": 4e-6, "static power": 96e-6}},
    }.items()
}
GPT = ROW | {"name": "gpt-fp32", "role": "transformer", "effective_acs": 0.0}
REPORT = {
    "schema": SCHEMA,
    "model": {"row": "spike-driven", "variant": "spike-driven", "n_layer": 4, "d": 256, "vocab": 256, "weights": 9},
    "measurement": {"measured": True, "tokens": 4096, "context": 256, "batch": 1, "mode": "decode", "density": 0.05},
    "rows": [GPT, ROW, INT8],
    "profiles": {"45nm-memory": {"name": "45nm-memory", "precisions": {"fp32": {"mac_j": 4.6e-12}}}},
}


def made(**changes) -> Compared:
    """A report; keys are paths, as in rows__1__synops=3."""
    report = copy.deepcopy(REPORT)
    for path, value in changes.items():
        *way, last = (int(k) if k.isdigit() else k for k in path.split("__"))
        place = report
        for key in way:
            place = place[key]
        place[last] = value
    return msgspec.convert(report, Compared)


def test_what_is_equal_passes_and_says_what_was_compared():
    verdict = compare(made(), made(), Limits())
    assert not verdict.regressed
    assert [(line.row, line.quantity) for line in verdict.lines] == [
        ("spike-driven", "bits per byte"), ("spike-driven", "operations of the matrices"),
        ("spike-driven", "all operations"), ("spike-driven", "45nm-memory-fp32"), ("spike-driven", "45nm-memory-int8"),
        ("spike-driven-int8", "bits per byte"), ("spike-driven-int8", "operations of the matrices"),
        ("spike-driven-int8", "all operations"), ("spike-driven-int8", "45nm-memory-int8"),
    ]  # fmt: skip
    assert sentence(verdict).startswith("No regression: 9 quantities compared")


@pytest.mark.parametrize(
    ("changes", "regressed"),
    [
        ({"rows__1__synops": 1050.0}, []),  # 5 % is not more than 5 %
        ({"rows__1__synops": 1051.0}, ["operations of the matrices"]),
        ({"rows__1__all_operations": 1600.0}, ["all operations"]),
        ({"rows__1__energy_j": ROW["energy_j"] | {"45nm-memory-fp32": 2.2e-6}}, ["45nm-memory-fp32"]),
        ({"rows__2__energy_j": {"45nm-memory-int8": 5e-7}}, ["45nm-memory-int8"]),
        ({"rows__1__bits_per_byte": 2.02}, []),  # 1 % is not more than 1 %
        ({"rows__1__bits_per_byte": 2.021}, ["bits per byte"]),
        ({"rows__2__bits_per_byte": 2.5, "rows__1__synops": 500.0}, ["bits per byte"]),  # cheaper, but worse
        ({"rows__0__synops": 9000.0}, []),  # the Transformer's row is not the model's
        ({"rows__1__synops": 1.0, "measurement__density": 0.01}, []),
    ],
)
def test_each_loss_is_found_at_its_own_limit(changes, regressed):
    verdict = compare(made(), made(**changes), Limits(increase=0.05, quality_loss=0.01))
    assert [line.quantity for line in verdict.worse] == regressed
    assert verdict.regressed == bool(regressed)
    assert sentence(verdict).startswith("Regressed" if regressed else "No regression")


def test_static_power_hides_no_rise_of_the_rest():
    """4 uJ become 5, of 100 with static power: 1 % of the total, 25 % of what the network does."""
    worse = {
        "rows__2__energy_j": {"45nm-memory-int8": 4e-7, "loihi1": 101e-6},
        "rows__2__energy_terms_j": {"loihi1": {"accumulates": 5e-6, "static power": 96e-6}},
    }
    verdict = compare(made(**CHIP), made(**worse), Limits())
    assert [(line.quantity, round(line.change, 6)) for line in verdict.worse] == [("loihi1, dynamic", 0.25)]


def test_a_dead_model_is_a_regression_however_cheap_and_whatever_the_limits():
    dead = {f"rows__{i}__{key}": 0.0 for i in (1, 2) for key in ("effective_acs",)}
    verdict = compare(made(), made(**dead), Limits(increase=9, quality_loss=9))
    assert verdict.regressed
    assert verdict.dead == ("spike-driven", "spike-driven-int8")
    assert "dead" in sentence(verdict)
    assert "less" not in sentence(verdict)
    canonical = {"model__variant": "canonical", **dead}  # has no accumulates by its structure
    assert not compare(made(**canonical), made(**canonical), Limits()).regressed


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model__d": 512}, "d 256 there, 512 here"),
        ({"model__variant": "canonical"}, "variant"),
        ({"model__vocab": 77}, "vocab"),
        ({"measurement__tokens": 300}, "tokens 4096 there, 300 here"),
        ({"measurement__context": 1024}, "context"),
        ({"measurement__batch": 3}, "batch"),
        ({"measurement__mode": "mean"}, "mode"),
        ({"measurement__text": {"offset": 3}}, "text"),
        ({"rows__1__text_sha256": "cd" * 32}, "sha256 abababababab there, cdcdcdcdcdcd here"),
        ({"rows__1__bits_per_byte": None}, "quality of the subject row is there alone"),
        ({"profiles": {}}, "profile 45nm-memory"),
        (
            {"profiles__45nm-memory__precisions": {"fp32": {"mac_j": 1e-12}}},
            "45nm-memory.precisions.fp32.mac_j 4.6e-12",
        ),
        ({"rows__2__energy_j": {}}, "column 45nm-memory-int8 of the int8 row is there alone"),
        ({"rows__1__energy_j": ROW["energy_j"] | {"new": 1.0}}, "column new of the subject row is here alone"),
        ({"rows": [ROW]}, "the int8 row is there alone"),
        ({"schema": "spikegpt-energy-report-9"}, "schema"),
    ],
)
def test_what_differs_is_named_and_nothing_is_compared(changes, named):
    with pytest.raises(UserError, match="cannot be compared") as refusal:
        compare(made(), made(**changes), Limits())
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_all_differences_are_named_at_once():
    assert len(differences(made(), made(model__d=3, measurement__batch=2, profiles={}))) == 3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rows__1__energy_j": {}}, "no energy"),
        ({"rows__1__energy_j": {"x": None}}, "no energy"),
        ({"rows__1__energy_j": {"x": 0}}, "x = 0"),
        ({"rows__1__energy_j": {"x": -1e-6}}, "x = -1e-06"),
        ({"rows__1__synops": 0}, "operations of the matrices = 0"),
        ({"rows__1__bits_per_byte": 0}, "bits per byte = 0"),
        ({"rows__1__effective_acs": 0, "rows__1__synops": 7}, "dead"),
        ({"rows": []}, "no row of the model"),
        ({"rows__1__synops": "many"}, r"$.rows[1].synops"),
        ({"schema": "spikegpt-energy-report-1"}, "make the baseline anew"),
        ({"rows__1__energy_j": {"x": float("nan")}}, "JSON"),
    ],
)
def test_baselines_that_cannot_be_compared_with_are_refused(changes, named, tmp_path):
    path = tmp_path / "report.json"
    report = copy.deepcopy(REPORT)
    path.write_text(json.dumps(report))
    assert read_baseline(path).schema == SCHEMA
    for way, value in changes.items():
        *keys, last = (int(k) if k.isdigit() else k for k in way.split("__"))
        place = report
        for key in keys:
            place = place[key]
        place[last] = value
    path.write_text(json.dumps(report))
    with pytest.raises(UserError, match=r"report\.json: ") as refusal:
        read_baseline(path)
    assert named in str(refusal.value)


def test_a_report_without_anything_is_refused_in_one_line(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"schema": SCHEMA}))
    with pytest.raises(UserError, match="missing required field"):
        read_baseline(tmp_path / "report.json")


def test_shares_are_written_in_per_cent_alone():
    assert share("5%", "--max-increase") == pytest.approx(0.05)
    assert share("0%", "--max-increase") == 0
    for text in ("5", "0.05", "much", "-1%", "nan%", "inf%", "%", ""):
        with pytest.raises(UserError, match=r"--max-increase .*per cent"):
            share(text, "--max-increase")


def test_forms_say_the_same():
    verdict = compare(made(), made(rows__1__synops=2000.0), Limits())
    assert ["spike-driven", "operations of the matrices", "1,000", "2,000", "+100.00%", "+5.00%", "REGRESSED"] in cells(
        verdict
    )
    text = summary(verdict)
    assert text.count("\n|") == 2 + len(verdict.lines)
    assert "| spike-driven | operations of the matrices | 1,000 | 2,000 | +100.00% | +5.00% | REGRESSED |" in text
    (line,) = annotations(verdict)
    assert line.startswith("::error title=Energy gate::operations of the matrices of spike-driven +100.00%25")
    (note,) = annotations(compare(made(), made(), Limits()))
    assert note.startswith("::notice title=Energy gate::No regression")
    suite = ElementTree.fromstring(junit(verdict))
    assert (suite.get("tests"), suite.get("failures")) == ("10", "1")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["operations of the matrices"]
    dead = compare(made(), made(rows__1__effective_acs=0.0), Limits())
    assert ElementTree.fromstring(junit(dead)).get("failures") == "1"
    assert "dead" in annotations(dead)[0]
