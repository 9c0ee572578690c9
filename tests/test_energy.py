"""Energy: reference values to three digits, honest refusals, and counts that agree between shapes and runs."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.energy import price, profiles, report, work
from hw_sim.energy.baselines import BASELINES
from hw_sim.energy.html import page
from hw_sim.energy.measure import Shape, bits_per_byte, measure
from hw_sim.graph.quantize import quantize
from spikegpt import UserError
from spikegpt.config import preset
from spikegpt.tokenizer import Bytes, Characters
from tests.conftest import VOCAB, lively_model

SHAPE = (12, 512, 5458)  # the 45m preset with the vocabulary of enwik8's characters


def first_form(density: float) -> work.Work:
    """A spike-driven model whose head reads real numbers, with a population for every matrix."""
    new, (_, d, vocab) = work.spikegpt("spike-driven", *SHAPE, density), SHAPE
    head = work.MatrixWork("head", work.MAC, d * vocab, d * vocab, d * vocab)
    sent = round(density * 10 * 12 * d)
    return replace(new, matrices=(*new.matrices[:-1], head), neurons=10 * 12 * d, active=sent, spikes=sent)


ROWS = {
    "gpt": work.gpt("gpt", *SHAPE, 1024),
    "canonical": work.spikegpt("canonical", *SHAPE),
    "r=0.15": first_form(0.15),
    "r=0.34": first_form(0.34),
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
    assert work.spikegpt("spike-driven", *SHAPE, 0.15).acs == ROWS["r=0.15"].acs + round(0.15 * 512 * 5458)


def test_the_papers_own_accounting_gives_its_ratio():
    transformer, spiking = price.paper_table1(3072, 512)
    assert transformer / 1e-12 == pytest.approx(3.283e10, rel=1e-3)
    assert transformer / spiking == pytest.approx(32.15, abs=0.005)


def test_break_even_densities_of_one_projection():
    """Compute only: 5.1 at float32 and 3.0 at int8; a whole model has the same, as head and body scale alike."""
    shape, shipped = Shape(12, 512, 256), profiles.shipped()
    settings = report.Settings()
    assert report.break_even(shipped["45nm-compute"], "fp32", shape, settings) == pytest.approx(5.1, abs=0.05)
    assert report.break_even(shipped["45nm-compute"], "int8", shape, settings) == pytest.approx(3.0, abs=0.05)
    assert report.break_even(shipped["loihi1-silicon"], "chip", shape, settings) is None


def test_batching_turns_the_memory_profile_against_spikes():
    shape, memory = Shape(12, 512, 256), profiles.shipped()["45nm-memory"]
    limits = [report.break_even(memory, "fp32", shape, report.Settings(batch=b)) for b in (1, 8, 64)]
    assert limits[0] > limits[1] > limits[2]
    assert limits[0] == pytest.approx(0.97, abs=0.08)
    assert limits[2] < 0.15


@pytest.mark.parametrize("batch, expected", [(1, 0.90), (8, 0.18), (64, 0.088)])
def test_break_even_of_one_projection_in_a_1_mb_memory(batch, expected):
    memory = profiles.shipped()["45nm-memory"]
    assert price.break_even_density(memory, "fp32", 512, 512, batch) == pytest.approx(expected, abs=0.005)


def test_a_window_mean_lies_between_its_ends_and_prefill_shares_weight_reads():
    first, last = (work.gpt("gpt", *SHAPE, t).dense for t in (1, 1024))
    mean = work.gpt("gpt", *SHAPE, 1024, "mean")
    assert first < mean.dense < last
    assert mean.dense == 12 * 12 * 512**2 + 512 * 5458 + 512 * 1025 * 12
    prefill = work.gpt("gpt", *SHAPE, 1024, "prefill")
    assert prefill.dense == mean.dense
    memory = profiles.shipped()["45nm-memory"]
    reads = [price.price(w, memory, "fp32").terms["weight reads"] for w in (mean, prefill)]
    assert reads[1] == pytest.approx(reads[0] / 1024)


def test_lemaires_formula_by_hand():
    """One projection of 4 inputs, 2 of them active, onto 8 neurons that send 3 spikes; all memories below 8 KB."""
    w = work.Work("p", 1, (work.MatrixWork("m", work.AC, 16, 32, 32, 8),), {}, True, neurons=8, active=8, spikes=3)
    found = price.price(w, profiles.shipped()["lemaire2022"], "fp32")
    access = 10e-12 / 8192  # joules an access and byte of memory
    reads = 2 * access * 4 * 4 + 16 * access * 32 * 4 + 2 * (16 + 8) * access * 8 * 4
    assert found.total_j == pytest.approx(16 * 0.9e-12 + 16 * 0.1e-12 + 8 * 4.6e-12 + 3 * 0.9e-12 + reads)


def test_bytes_go_to_the_smallest_level_that_holds_the_tensor():
    small, big = work.MatrixWork("small", work.MAC, 100, 100, 1000), work.MatrixWork("big", work.AC, 10, 10, 1 << 20)
    w = work.Work("w", 1, (small, big), {}, True)
    moved = price.traffic(w, 32)
    assert moved == {"8KB": 100 * 4 + 2 * 10 * 4, "32KB": 0, "1MB": 0, "DRAM": 40}


def test_keys_and_values_lie_layer_by_layer_as_weights_do_and_state_is_charged():
    """Context 1,024 and width 256: a layer's keys are exactly 1 MB in float32; a context of 1,025 no longer fits."""
    memory = profiles.shipped()["45nm-memory"]
    near, far = (price.price(work.gpt("g", 4, 256, 256, t), memory, "fp32").terms["KV cache"] for t in (1024, 1025))
    words = 2 * 1024 * 256 * 4 + 2 * 256 * 4
    assert near == pytest.approx(words * 32 * 1.5625e-12)
    assert far / near == pytest.approx(13, rel=2e-3)  # DRAM
    state = price.price(work.spikegpt("spike-driven", 4, 256, 256, 0.05), memory, "fp32").terms["state"]
    assert state == pytest.approx(2 * ((5 + 10) * 4 + 1) * 256 * 32 * 0.15625e-12)


@pytest.mark.parametrize("variant", ["spike-driven", "canonical", "continuous"])
def test_element_wise_counts_from_shapes_are_those_of_the_plan(variant, tokens):
    simulator = Simulator.from_nir(exporter.export(lively_model(variant)))
    counted = work.measured(variant, simulator.plan, simulator.run(tokens))
    derived = work.spikegpt(variant, 2, 24, VOCAB)
    assert {k: v // len(tokens) for k, v in counted.elementwise.items()} == derived.elementwise
    assert counted.neurons == derived.neurons * len(tokens)
    assert counted.dense == derived.dense * len(tokens)


def test_canonical_element_wise_work_is_the_hand_count():
    """Units of d a layer: LayerNorms 6 + shift 10 + WKV 4 + relu^2 4 + gates 2 + LIFs 2 multiplications."""
    found = work.spikegpt("canonical", 12, 512, 256).elementwise
    assert found["mul"] == 12 * 512 * 28 + 3 * 512
    assert found["exp"] == 12 * 512 * 4
    assert found["cmp"] == 12 * 512 * 8


@pytest.mark.parametrize("size", ["45m", "125m", "216m", "260m"])
def test_a_twentieth_of_a_spike_driven_model_active_is_22_times_cheaper_and_mostly_in_its_matrices(size):
    """At the paper's sizes: operations of the Transformer at context 1,024 over ours; share of element-wise work."""
    config = preset(size)
    shape = config.n_layer, config.n_embd, config.vocab_size
    ours, gpt = work.spikegpt("spike-driven", *shape, 0.05), work.gpt("gpt", *shape, 1024)
    beside = sum(ours.elementwise.values())
    assert ours.macs == 0
    assert gpt.dense / ours.acs > 22
    assert beside / (beside + ours.acs) < 0.15


def test_no_total_without_its_unpriced_terms():
    for _, p, precision in report.Settings().columns:
        found = price.price(ROWS["r=0.15"], p, precision)
        assert "elementwise" in found.unpriced
        assert ("mac" in found.unpriced) == p.name.startswith(("loihi", "lemaire"))


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
        ({"accounting": "magic"}, "magic"),
        ({"static_w_per_chip": "hot"}, "static_w_per_chip"),
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
    characters = Characters("".join(map(chr, range(65, 65 + VOCAB))))  # a byte each
    models = [
        measure(g, name, "spike-driven", text, characters)
        for g, name in ((graph, "spike-driven"), (quantize(graph), "spike-driven-int8"))
    ]
    return report.build(models[:1], report.Settings(baselines=True), int8=models[1], provenance={"text": "noise <&>"})


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


def test_ratios_are_to_both_gpts_and_to_the_twin(built):
    energy = {row["name"]: row["energy_j"] for row in built["rows"]}
    ours = energy["spike-driven"]["45nm-memory-int8"]
    for reference, column in (
        ("gpt-fp32", "45nm-memory-fp32"),
        ("gpt-int8", "45nm-memory-int8"),
        ("continuous", "45nm-memory-int8"),
    ):
        assert built["ratios"][reference]["45nm-memory-int8"] == pytest.approx(energy[reference][column] / ours)


def test_no_ratio_crosses_technologies(built):
    for reference in built["ratios"].values():
        assert not any("loihi" in column for column in reference)


def test_bits_per_byte_of_uniform_logits_is_that_of_the_vocabulary():
    assert bits_per_byte(np.zeros((5, 256), np.float32), np.arange(5), Bytes()) == pytest.approx(8)
    two_bytes = Characters("éü")
    assert bits_per_byte(np.zeros((5, 2), np.float32), np.array([0, 1, 0, 1, 1]), two_bytes) == pytest.approx(0.5)


def test_structure_and_values_are_told_apart_at_every_matrix_input(built):
    for m in built["matrices"]:
        binary = m["input"] == "spikes"
        assert (m["observed"]["binary"] == 1) == binary
        assert m["density"] == pytest.approx(1 - m["observed"]["zeros"], abs=0.1)  # 200 tokens against 64
        assert set(m["margin"]) <= set(m["break_even"])


def test_analytic_rows_carry_their_formula_and_a_published_score_that_is_not_ours(built):
    rows = [row for row in built["rows"] if "formula" in row]
    assert {row["name"] for row in rows} == {b.name for b in BASELINES}
    assert all(row["bits_per_byte"] is None and row["published_bits_per_character"] > 1 for row in rows)
    linear = next(b for b in BASELINES if b.name == "linear-transformer").work(12, 512, 256, 1024)
    assert linear.dense == 12 * 12 * 512**2 + 2 * 12 * 512 * 64 + 512 * 256


def test_assumed_densities_give_the_counts_of_the_shape():
    rates = dict.fromkeys(work.PARTS, 0.1) | {"ffn_value": 0.05}
    shape = Shape(12, 512, 5458)
    found = report.build([], report.Settings(), what_if=(shape, rates))
    ours = next(row for row in found["rows"] if row["name"] == "spike-driven")
    body = 12 * (round(0.1 * 512**2) * 5 + round(0.1 * 4 * 512**2) + round(0.05 * 4 * 512**2))
    assert ours["effective_acs"] == body + round((0.1 * 9 + 0.05 * 4) / 13 * 512 * 5458)
    own_head = report.build([], report.Settings(), what_if=(shape, {**rates, "head": 0.2}))
    ours = next(row for row in own_head["rows"] if row["name"] == "spike-driven")
    assert ours["effective_acs"] == body + round(0.2 * 512 * 5458)
    assert ours["counts"] == "derived from shapes"
    assert found["measurement"]["measured"] is False


def test_a_dense_model_is_told_that_it_loses():
    shape = Shape(12, 512, 256)
    found = report.build([], report.Settings(batch=64), what_if=(shape, 0.9))
    assert "more than its non-spiking twin" in found["verdicts"]["45nm-memory-fp32"]
    assert "above the break-even" in found["verdicts"]["45nm-memory-fp32"]


def test_page_is_self_contained_and_escapes_what_it_shows(built):
    html = page(built)
    assert html.count("<svg") == 4
    assert "noise &lt;&amp;&gt;" in html
    for outside in ('src="http', 'href="http', "@import", "<script src"):
        assert outside not in html
    assert page(built) == html
