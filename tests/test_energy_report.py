"""The report: like with like, equal quality, ranges, losses first, and nothing divided that cannot be."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from exporters import nir as exporter
from hw_sim.energy import dense_models, entries, front, profiles, report
from hw_sim.energy.baselines import BASELINES
from hw_sim.energy.markdown import document
from hw_sim.energy.measure import measure, token_nats
from hw_sim.energy.page import page
from hw_sim.energy.page.charts import charts
from hw_sim.energy.ratios import comparable
from hw_sim.energy.schema import Report, Shape
from hw_sim.energy.settings import Settings
from hw_sim.energy.shapes import PARTS
from hw_sim.energy.summary import basis, verdict
from hw_sim.graph.quantize import quantize
from spikegpt.tokenizer import Bytes, Characters
from tests.conftest import VOCAB, lively_model

TINY = Shape(4, 256, 256)
LETTERS = Characters("".join(map(chr, range(65, 65 + VOCAB))))  # a byte each


def run_of(variant: str, seed: int = 0, quantized: bool = False):
    graph = exporter.export(lively_model(variant))
    text = np.random.default_rng(seed).integers(0, VOCAB, 200)
    name = variant + "-int8" * quantized
    return measure(quantize(graph) if quantized else graph, name, variant, text, LETTERS)


@pytest.fixture(scope="module")
def built() -> Report:
    return report.build(
        [run_of("spike-driven")],
        Settings(baselines=True),
        int8=run_of("spike-driven", quantized=True),
        provenance={"text": "noise <&>"},
    )


def assumed(rate=0.05, shape=TINY, **settings) -> Report:
    return report.build([], Settings(**settings), what_if=(shape, rate))


def test_rows_of_the_first_schema_stay_and_new_ones_join(built):
    names = [row.name for row in built.rows]
    assert {"gpt-fp32", "gpt-int8", "continuous", "canonical", "spike-driven", "spike-driven-int8"} <= set(names)
    assert {"gpt-fp16", "gpt-strong", "continuous-ternary"} <= set(names)
    assert len(set(names)) == len(names)


def test_a_report_survives_json(built):
    again = msgspec.json.decode(msgspec.json.encode(built), type=Report)
    assert again.subject.energy_j == built.subject.energy_j
    ours = built.subject
    assert ours.totals["effective_acs"] == sum(
        round(m["synops_per_token"] * 200) for m in built.matrices if m["input"] == "spikes"
    )
    assert built.row("canonical").effective_acs == 0
    assert built.row("gpt-fp32").bits_per_byte is None


def test_energy_is_counts_times_prices_with_element_wise_work(built):
    ours = built.subject
    unit = {"mul": 3.7, "add": 0.9, "cmp": 0.9, "exp": 3.7, "div": 3.7, "sqrt": 3.7}
    elementwise = sum(unit[k] * n for k, n in ours.elementwise.items())
    assert ours.energy_j["45nm-compute-fp32"] * 1e12 == pytest.approx(
        4.6 * ours.effective_macs + 0.9 * ours.effective_acs + elementwise
    )
    assert ours.all_operations == pytest.approx(ours.synops + sum(ours.elementwise.values()))


def test_no_ratio_crosses_precisions_or_technologies(built):
    for reference, found in built.ratios.items():
        precision = built.row(reference).precision
        for column in built.columns:
            if column.name in found and precision:
                assert column.precision == precision
            assert column.precision != "chip" or column.name not in found
    assert "45nm-compute-int8" not in built.ratios["gpt-fp32"]


def test_ratios_are_of_the_same_prices(built):
    ours = built.subject.energy_j
    for reference, column in (
        ("gpt-fp32", "45nm-memory-fp32"),
        ("gpt-int8", "45nm-memory-int8"),
        ("continuous", "45nm-memory-int8"),
    ):
        theirs = built.row(reference).energy_j
        assert built.ratios[reference][column] == pytest.approx(theirs[column] / ours[column])


def test_counted_rows_are_compared_on_one_text_alone():
    ours, other_text = run_of("spike-driven"), run_of("continuous", seed=1)
    rows = [entries.measured(m, role, Settings()) for m, role in ((ours, "subject"), (other_text, "candidate"))]
    assert not comparable(*rows)
    assert comparable(rows[0], entries.measured(run_of("continuous"), "candidate", Settings()))
    found = report.build([ours, other_text], Settings())
    assert "continuous" not in found.ratios


def test_a_row_that_was_not_run_names_what_it_assumes_of_relu2(built):
    for name in ("continuous", "canonical", "continuous-ternary"):
        (first, *_) = built.row(name).assumptions
        assert "relu^2" in first.name
        assert "enwik" in first.source
        share = float(first.value)
        shape = built.row(name).shape
        behind = round(share * 4 * shape.d**2) * shape.n_layer
        assert built.row(name).synops == 9 * shape.n_layer * shape.d**2 + behind + shape.d * shape.vocab
    assert all(c.assumptions for c in built.comparisons if c.reference == "continuous")
    assert built.row("gpt-fp32").grades["synops"] == built.subject.grades["synops"] == "counted"
    assert built.row("continuous").grades["synops"] == built.row("gpt-strong").grades["synops"] == "assumed"


def test_every_figure_has_a_grade(built):
    for row in built.rows:
        assert row.grades["energy_j"] == "modelled"
        assert ("bits_per_byte" in row.grades) == (row.bits_per_byte is not None)
    assert built.subject.grades["bits_per_byte"] == "measured"


def test_the_context_is_that_of_training_and_one_beyond_says_so():
    found = assumed(trained_context=256)
    assert found.measurement["context"] == 256
    assert found.row("gpt-fp32").synops == 12 * 4 * 256**2 + 256 * 256 + 2 * 256 * 256 * 4
    assert not found.row("gpt-fp32").notes
    beyond = assumed(trained_context=256, context=1024)
    assert "beyond" in beyond.row("gpt-fp32").notes[0]
    assert "beyond the context of training" in basis(beyond)


def test_the_window_mean_stands_beside_the_last_position():
    (found,) = [c for c in assumed().comparisons if (c.reference, c.column) == ("gpt-fp32", "operations")]
    ours = assumed().subject.synops
    assert found.ratio == pytest.approx((12 * 4 * 256**2 + 256 * 256 + 2 * 256 * 256 * 4) / ours)
    assert found.window_mean == pytest.approx((12 * 4 * 256**2 + 256 * 256 + 257 * 256 * 4) / ours)


@pytest.mark.parametrize("settings, sharing", [({"batch": 8}, 8), ({"mode": "prefill"}, 256), ({}, 1)])
def test_batch_and_prompt_share_reads_of_every_row(settings, sharing):
    """Weight reads of a dense matrix fall to 1 / n in every row alike: Transformers, twin, head, analytic rows."""
    one, many = assumed(baselines=True), assumed(baselines=True, **settings)
    for name in ("gpt-fp32", "linear-transformer", "sha-lstm", "performer"):
        before, after = (r.row(name).energy_terms_j["45nm-memory-fp32"]["weight reads"] for r in (one, many))
        assert after == pytest.approx(before / sharing), name
    dense = one.row("continuous").energy_terms_j["45nm-memory-fp32"]["weight reads"]
    assert many.row("continuous").energy_terms_j["45nm-memory-fp32"]["weight reads"] <= dense / sharing * 2


def test_spikes_lose_when_reads_are_shared_and_the_report_says_so_first():
    found = assumed(mode="prefill")
    assert found.findings[0].loses
    assert found.verdicts["45nm-memory-int8"].startswith("Spiking loses: ")
    assert "spikes do not pay" in found.verdicts["45nm-memory-int8"]


def test_a_range_spans_every_alternative_and_both_sides_are_priced_alike():
    found = assumed()
    (c,) = [c for c in found.comparisons if (c.reference, c.column) == ("gpt-int8", "45nm-memory-int8")]
    assert c.low == min(c.ratio, *c.by_alternative.values())
    assert c.high == max(c.ratio, *c.by_alternative.values())
    assert c.low < c.ratio < c.high
    narrow = profiles.shipped()["45nm-memory"]
    (bits24,) = [a for a in narrow.alternatives if a.name.startswith("24-bit")]
    alone = assumed(priced={"45nm-memory": narrow.under(bits24)})
    assert alone.ratios["gpt-int8"]["45nm-memory-int8"] == pytest.approx(c.by_alternative[bits24.name])


def test_one_token_more_of_context_is_no_cliff():
    near, far = (assumed(context=t).row("gpt-fp32").energy_j["45nm-memory-fp32"] for t in (1024, 1025))
    assert far / near < 1.005


def test_a_dead_model_is_called_dead_and_praised_for_nothing():
    found = assumed(rate=0.0)
    assert "dead: density 0" in verdict(found)
    assert found.findings[0].text.startswith("spike-driven is dead")
    assert all("saves" not in v for v in found.verdicts.values())
    assert found.subject.spikes == 0
    assert found.subject.energy_j["loihi1-silicon"] is not None
    json.loads(msgspec.json.encode(found))


def test_a_full_model_and_a_tiny_one_are_reports_too():
    assert assumed(rate=1.0).measurement["density"] == 1
    assert assumed(shape=Shape(1, 1, 1)).verdicts
    assert assumed(shape=Shape(200, 8192, 100_000), rate=0.01).verdicts


def test_analytic_rows_are_priced_tensor_by_tensor():
    """A linear Transformer has fewer operations than a GPT and no cache: it cannot cost more."""
    found = assumed(baselines=True)
    gpt, linear = found.row("gpt-fp32"), found.row("linear-transformer")
    assert linear.synops < gpt.synops
    assert linear.energy_j["45nm-memory-fp32"] < gpt.energy_j["45nm-memory-fp32"]
    assert linear.state_words == 4 * (256 * 64 + 256)
    for b in BASELINES:
        row = found.row(b.name)
        assert row.shape == TINY
        assert sum(row.elementwise.values()) > 0
        assert row.bits_per_byte is None
        assert row.published_bits_per_character > 1
    assert found.row("sha-lstm").synops == 16 * 4 * 256**2 + 256 * 256
    assert found.row("synthesizer").synops == 4 * (11 * 256**2 + 2 * 256 * 256) + 256 * 256


def test_structure_and_values_are_told_apart_at_every_matrix_input(built):
    for m in built.matrices:
        binary = m["input"] == "spikes"
        assert (m["observed"]["binary"] == 1) == binary
        assert m["density"] == pytest.approx(1 - m["observed"]["zeros"], abs=0.1)  # 200 tokens against 64
        assert set(m["margin"]) <= set(built.break_even)


def test_bits_per_byte_of_uniform_logits_is_that_of_the_vocabulary():
    run = run_of("continuous")
    flat = replace(run, nats=token_nats(np.zeros((4, 256), np.float32), np.arange(4)), tokens=np.arange(5),
                   tokenizer=Bytes())  # fmt: skip
    assert flat.bits_per_byte == pytest.approx(8)
    two_bytes = Characters("éü")
    logits = np.zeros((4, 2), np.float32)
    flat = replace(run, nats=token_nats(logits, np.array([1, 0, 1, 1])), tokens=np.array([0, 1, 0, 1, 1]),
                   tokenizer=two_bytes)  # fmt: skip
    assert flat.bits_per_byte == flat.bits_per_byte_of(3) == pytest.approx(0.5)


def test_assumed_densities_give_the_counts_of_the_shape():
    rates = dict.fromkeys(PARTS, 0.1) | {"ffn_value": 0.05}
    found = report.build([], Settings(), what_if=(Shape(12, 512, 5458), rates))
    ours = found.subject
    body = 12 * (round(0.1 * 512**2) * 5 + round(0.1 * 4 * 512**2) + round(0.05 * 4 * 512**2))
    assert ours.effective_acs == body + round((0.1 * 9 + 0.05 * 4) / 13 * 512 * 5458)
    assert ours.grades["synops"] == "assumed"
    assert found.measurement["measured"] is False


def test_another_text_has_no_dense_models(built):
    assert not built.equal_quality.available
    assert built.equal_quality.reason == front.NONE_MEASURED
    assert any(front.NONE_MEASURED in f.text for f in built.findings)


def test_dense_models_of_the_same_text_judge_a_report(monkeypatch):
    """A dense model that predicts as well at a hundredth of the weights makes spikes lose, and that is said first."""
    import hashlib

    ours = run_of("spike-driven")
    text = LETTERS.decode(ours.tokens)
    quality = ours.bits_per_byte
    dense = [
        dense_models.DenseModel(
            f"twin{d}", "continuous", Shape(1, d, VOCAB), 0, {"ffn_value": 0.1}, {"200": bits}, {}, ""
        )
        for d, bits in ((4, quality + 0.1), (8, quality - 0.1))
    ]
    sweep = dense_models.DenseModels("noise", "", 200, "", {"200": hashlib.sha256(text).hexdigest()}, tuple(dense))
    monkeypatch.setattr(front, "shipped_sweeps", lambda: (sweep,))
    found = report.build([ours], Settings())
    assert found.equal_quality.available
    (verdict,) = [v for v in found.equal_quality.verdicts if v.column == "45nm-memory-int8"]
    assert verdict.ratio < 1
    assert verdict.between == ("twin4", "twin8")
    assert found.findings[0].loses and "twin4" in found.findings[0].text
    assert found.verdicts["45nm-memory-int8"].startswith("Spiking loses: at the quality of spike-driven")
    assert set(found.equal_quality.fronts["operations"]) <= {"twin4", "twin8", "spike-driven"}


def test_names_from_files_are_plain_text_in_markdown(built):
    files = document(msgspec.structs.replace(built, provenance={"text": "a|b\n# <img src=x> [y](z)"}))
    text = files["report.md"]
    assert "\\<img src=x\\> \\[y\\]" in text
    assert "\n# \\<" not in text


def test_page_is_self_contained_and_escapes_what_it_shows(built):
    html = page({"model": built})
    assert html.count("<figure ") == len(charts(built))
    assert "noise &lt;&amp;&gt;" in html
    for outside in ('src="http', "@import", "<script src", "<link rel=stylesheet", "url(http"):
        assert outside not in html
    assert page({"model": built}) == html
