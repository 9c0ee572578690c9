"""Energy: reference values to three digits, honest refusals, and counts that agree between shapes and runs."""

import json

import numpy as np
import pytest
import yaml

from exporters import nir as exporter
from exporters.loihi.quantize import quantize
from hw_sim import Simulator
from hw_sim.energy import price, profiles, report, work
from hw_sim.energy.html import page
from spikegpt import UserError
from tests.conftest import VOCAB, lively_model

SHAPE = (12, 512, 5458)  # the 45m preset with the vocabulary of enwik8's characters
ROWS = {
    "gpt": work.gpt("gpt", *SHAPE, 1024),
    "canonical": work.spikegpt("canonical", *SHAPE),
    "r=0.15": work.spikegpt("spike-driven", *SHAPE, 0.15),
    "r=0.34": work.spikegpt("spike-driven", *SHAPE, 0.34),
}
# Microjoules a token, worked out by hand from the same sources (gpt, canonical, r = 0.15, r = 0.34).
ORACLE = {
    ("45nm-compute", "fp32", ""): (244.4, 201.0, 18.4, 25.4),
    ("45nm-compute", "int8", ""): (15.9, 13.1, 1.45, 2.23),
    ("45nm-memory", "fp32", "1MB"): (2901, 2385, 526, 999),
    ("45nm-memory", "fp32", "DRAM"): (34.8e3, 28.6e3, 5.9e3, 11.0e3),
    ("loihi1-presilicon", "chip", ""): (None, None, 148, 332),
    ("loihi1-silicon", "chip", ""): (None, None, 223, 500),
}


@pytest.mark.parametrize("profile, precision, level", ORACLE)
def test_reference_energies(profile, precision, level):
    prices = profiles.shipped()[profile]
    for w, expected in zip(ROWS.values(), ORACLE[profile, precision, level], strict=True):
        found = price.price(w, prices, precision, weight_level=level)
        if expected is None:
            assert found is None
        else:
            assert found.total_j * 1e6 == pytest.approx(expected, rel=5e-3)


def test_operation_counts_of_the_45m_shape():
    assert ROWS["canonical"].dense == 43_688_960
    for context, millions in ((1, 40.56), (1024, 53.13), (3072, 78.29)):
        assert work.gpt("gpt", *SHAPE, context).dense / 1e6 == pytest.approx(millions, abs=0.006)
    assert ROWS["canonical"].acs == 0
    assert ROWS["r=0.15"].macs == 512 * 5458


def test_the_papers_own_accounting_gives_its_ratio():
    transformer, spiking = price.paper_table1(3072, 512)
    assert transformer / 1e-12 == pytest.approx(3.283e10, rel=1e-3)
    assert transformer / spiking == pytest.approx(32.15, abs=0.005)


def test_break_even_densities_of_one_projection():
    """Compute only: 5.1 at float32 and 3.0 at int8; a whole model has the same, as head and body scale alike."""
    shape, shipped = report.Shape(12, 512, 256), profiles.shipped()
    assert report.break_even(shipped["45nm-compute"], "fp32", shape, 1) == pytest.approx(5.1, abs=0.05)
    assert report.break_even(shipped["45nm-compute"], "int8", shape, 1) == pytest.approx(3.0, abs=0.05)
    assert report.break_even(shipped["loihi1-silicon"], "chip", shape, 1) is None


def test_batching_turns_the_memory_profile_against_spikes():
    shape, memory = report.Shape(12, 512, 256), profiles.shipped()["45nm-memory"]
    limits = [report.break_even(memory, "fp32", shape, batch) for batch in (1, 8, 64)]
    assert limits[0] > limits[1] > limits[2]
    assert limits[0] == pytest.approx(0.97, abs=0.08)
    assert limits[2] < 0.15


@pytest.mark.parametrize("variant", ["spike-driven", "canonical", "continuous"])
def test_element_wise_counts_from_shapes_are_those_of_the_plan(variant, tokens):
    simulator = Simulator.from_nir(exporter.export(lively_model(variant)))
    counted = work.measured(variant, simulator.plan, simulator.run(tokens))
    derived = work.spikegpt(variant, 2, 24, VOCAB)
    assert {k: v // len(tokens) for k, v in counted.elementwise.items()} == derived.elementwise
    assert counted.neurons == derived.neurons * len(tokens)
    assert counted.dense == derived.dense * len(tokens)


def test_canonical_element_wise_work_is_the_hand_count():
    """Units of d a layer: LayerNorms 6 + shift 10 + WKV 6 + relu^2 4 + gates 2 + LIFs 2 multiplications."""
    found = work.spikegpt("canonical", 12, 512, 256).elementwise
    assert found["mul"] == 12 * 512 * 30 + 3 * 512
    assert found["exp"] == 12 * 512 * 6
    assert found["cmp"] == 12 * 512 * 8


def test_no_total_without_its_unpriced_terms():
    for p in profiles.shipped().values():
        for precision in p.precisions:
            found = price.price(ROWS["r=0.15"], p, precision)
            assert "elementwise" in found.unpriced
            assert ("mac" in found.unpriced) == p.name.startswith("loihi")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"source": None}, "source"),
        ({"grade": "guessed"}, "guessed"),
        ({"surprise": 1}, "surprise"),
        ({"precisions": {"fp32": {"mac": 1}}}, "unknown price 'mac'"),
        ({"precisions": {"fp32": {"ac_j": -1}}}, "ac_j"),
        ({"precisions": {"fp32": {"ac_j": "much"}}}, "ac_j"),
        ({"memory": {"levels": [{"name": "x"}]}}, "memory level"),
    ],
)
def test_profiles_of_users_are_checked(change, message, tmp_path):
    good = {
        "name": "mine", "title": "t", "grade": "assumed", "source": "s", "technology": "x", "scope": "y",
        "unpriced": [], "precisions": {"fp32": {"mac_j": 1e-12, "ac_j": 1e-13}},
    }  # fmt: skip
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(good))
    assert profiles.load(str(tmp_path / "p.yaml")).name == "mine"
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({**good, **change}))
    with pytest.raises(UserError, match=message):
        profiles.load(str(tmp_path / "p.yaml"))


def test_a_loihi_2_profile_is_refused_with_the_reason():
    with pytest.raises(UserError, match="no energy per operation for Loihi 2"):
        profiles.load("loihi2")


@pytest.fixture(scope="module")
def built() -> dict:
    graph = exporter.export(lively_model("spike-driven"))
    text = np.random.default_rng(0).integers(0, VOCAB, 200)
    int8 = Simulator.from_nir(quantize(graph))
    return report.build(Simulator.from_nir(graph), "spike-driven", text, int8=int8, provenance={"text": "noise <&>"})


def test_report_holds_the_documented_rows_and_survives_json(built):
    again = json.loads(json.dumps(built))
    rows = {row["name"]: row for row in again["rows"]}
    assert {"gpt-fp32", "gpt-int8", "continuous", "canonical", "spike-driven"} <= set(rows)
    ours = rows["spike-driven"]
    assert ours["totals"]["effective_acs"] == sum(
        round(m["synops_per_token"] * 200) for m in again["matrices"] if m["input"] == "spikes"
    )
    assert rows["canonical"]["effective_acs"] == 0
    assert rows["gpt-fp32"]["bits_per_byte"] is None
    assert rows["gpt-fp32"]["energy_j"]["45nm-compute-int8"] is None
    assert ours["energy_j"]["45nm-compute-fp32"] == pytest.approx(
        (4.6e-12 * ours["effective_macs"]) + 0.9e-12 * ours["effective_acs"]
    )


def test_no_ratio_crosses_technologies(built):
    for reference in built["ratios"].values():
        assert not any("loihi" in column for column in reference)


def test_bits_per_byte_of_uniform_logits_is_that_of_the_vocabulary():
    assert report.bits_per_byte(np.zeros((5, 256), np.float32), np.arange(5)) == pytest.approx(8)


def test_page_is_self_contained_and_escapes_what_it_shows(built):
    html = page(built)
    assert html.count("<svg") == 2
    assert "noise &lt;&amp;&gt;" in html
    for outside in ('src="http', 'href="http', "@import", "<script"):
        assert outside not in html
    assert page(built) == html
