"""Energy: counts from shapes and from runs that agree, and prices that meet hand-worked figures to three digits."""

import numpy as np
import pytest
from msgspec.structs import replace

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.energy import price, profiles, shapes
from hw_sim.energy.measure import counted, variant_of
from hw_sim.energy.memory import Level, Memory
from hw_sim.energy.paper import paper_table1
from hw_sim.energy.schema import Shape
from hw_sim.energy.work import AC, MAC, MatrixWork, Work
from spikegpt.config import CANONICAL, CONTINUOUS, SPIKE_DRIVEN, VARIANTS, Variant, preset
from tests.conftest import OLD, VOCAB, lively_model, torch_run

SHAPE = Shape(12, 512, 5458)  # the 45m preset with the vocabulary of enwik8's characters


def first_form(density: float) -> Work:
    return shapes.spikegpt("spikes", SPIKE_DRIVEN, SHAPE, density, spiking_head=False)


ROWS = {
    "gpt": shapes.gpt("gpt", SHAPE, 1024),
    "canonical": shapes.spikegpt("canonical", CANONICAL, SHAPE),
    "r=0.15": first_form(0.15),
    "r=0.34": first_form(0.34),
}
MATRICES = ("multiply-accumulates", "accumulates")
MEMORY = ("weight reads", "accumulator traffic", "KV cache")
LOIHI = ("accumulates", "neuron updates", "spikes")
# Microjoules a token, worked out by hand from the same sources (gpt, canonical, r = 0.15, r = 0.34), of these terms.
ORACLE = {
    ("45nm-compute", "fp32", ""): (MATRICES, (244.4, 201.0, 18.4, 25.4)),
    ("45nm-compute", "int8", ""): (MATRICES, (15.9, 13.1, 1.45, 2.23)),
    ("45nm-memory", "fp32", "1MB"): (MATRICES + MEMORY, (2901, 2385, 526, 999)),
    ("45nm-memory", "fp32", "DRAM"): (MATRICES + MEMORY, (34.8e3, 28.6e3, 5.9e3, 11.0e3)),
    ("loihi1-presilicon", "chip", ""): (LOIHI, (None, None, 148, 332)),
    ("loihi1-silicon", "chip", ""): (LOIHI, (None, None, 223, 500)),
}


def pinned(profile: profiles.Profile, level: str) -> profiles.Profile:
    """Every weight and cache in one level, accumulators in 8 KB."""
    if not level:
        return profile
    only = profile.memory.level(level)
    levels = (Level("8KB", profile.memory.levels[0].access_j_per_bit, 1.0), Level(level, only.access_j_per_bit))
    return replace(profile, memory=Memory(levels, rule="step", accumulator_level="8KB"))


@pytest.mark.parametrize("profile, precision, level", ORACLE)
def test_reference_energies(profile, precision, level):
    terms, expected = ORACLE[profile, precision, level]
    prices = pinned(profiles.shipped()[profile], level)
    for w, joules in zip(ROWS.values(), expected, strict=True):
        found = price.price(w, prices, precision)
        if joules is None:
            assert found is None
        else:
            assert sum(found.terms.get(t, 0) for t in terms) * 1e6 == pytest.approx(joules, rel=5e-3)


def test_operation_counts_of_the_45m_shape():
    assert ROWS["canonical"].dense == 43_688_960
    for context, millions in ((1, 40.56), (1024, 53.13), (3072, 78.29)):
        assert shapes.gpt("gpt", SHAPE, context).dense / 1e6 == pytest.approx(millions, abs=0.006)
    assert ROWS["canonical"].acs == 0
    assert ROWS["r=0.15"].macs == 512 * 5458
    new = shapes.spikegpt("spikes", SPIKE_DRIVEN, SHAPE, 0.15)
    assert (new.macs, new.acs) == (0, ROWS["r=0.15"].acs + round(0.15 * 512 * 5458))
    rates = {**dict.fromkeys(shapes.PARTS, 0.1), "ffn_value": 0.05}
    heads = [shapes.spikegpt("s", SPIKE_DRIVEN, SHAPE, r).matrices[-1] for r in (rates, {**rates, "head": 0.2})]
    assert [m.effective for m in heads] == [round(r * 512 * 5458) for r in ((0.1 * 9 + 0.05 * 4) / 13, 0.2)]


@pytest.mark.parametrize("size, most", [("45m", 0.15), ("125m", 0.12), ("216m", 0.1), ("260m", 0.1)])
def test_at_the_papers_sizes_a_twentieth_of_the_synapses_active_is_22_times_less_and_little_is_beside_them(size, most):
    """Operations of matrices: the Transformer's at context 1,024 over ours; then the share of element-wise work."""
    config = preset(size)
    shape = Shape(config.n_layer, config.n_embd, config.vocab_size)
    ours, gpt = shapes.spikegpt("s", SPIKE_DRIVEN, shape, 0.05), shapes.gpt("gpt", shape, 1024)
    beside = sum(ours.elementwise.values())
    assert ours.macs == 0
    assert gpt.synops / ours.synops > 22
    assert beside / (beside + ours.synops) < most


def test_the_papers_own_accounting_gives_its_ratio():
    transformer, spiking = paper_table1(3072, 512)
    assert transformer / 1e-12 == pytest.approx(3.283e10, rel=1e-3)
    assert transformer / spiking == pytest.approx(32.15, abs=0.005)


def test_a_window_mean_lies_between_its_ends_and_prefill_shares_weight_reads():
    first, last = (shapes.gpt("gpt", SHAPE, t).dense for t in (1, 1024))
    mean = shapes.gpt("gpt", SHAPE, 1024, "mean")
    assert first < mean.dense < last
    assert mean.dense == 12 * 12 * 512**2 + 512 * 5458 + 512 * 1025 * 12
    prefill = shapes.gpt("gpt", SHAPE, 1024, "prefill")
    assert prefill.dense == mean.dense
    memory = profiles.shipped()["45nm-memory"]
    reads = [price.price(w, memory, "fp32").terms["weight reads"] for w in (mean, prefill)]
    assert reads[1] == pytest.approx(reads[0] / 1024)


@pytest.mark.parametrize("variant", [SPIKE_DRIVEN, OLD, CANONICAL, CONTINUOUS])
def test_work_from_shapes_is_that_of_the_plan(variant, tokens):
    """Element-wise operations by component, state, constants and embedding, as the plan does them; where activity does
    not matter also every vector that is moved."""
    simulator = Simulator.from_nir(exporter.export(lively_model(variant)))
    run = counted(variant, simulator.plan, simulator.run(tokens))
    kind = SPIKE_DRIVEN if variant == OLD else variant
    derived = shapes.spikegpt(variant, kind, Shape(2, 24, VOCAB), spiking_head=variant != OLD)
    n = len(tokens)
    assert {c: {k: v // n for k, v in kinds.items()} for c, kinds in run.components.items()} == derived.components
    assert {c: v // n for c, v in run.channels.items()} == derived.channels
    assert (run.neurons, run.dense, run.state_words) == (derived.neurons * n, derived.dense * n, derived.state_words)

    def moved(w, skip=()):
        found = {}
        for t in w.tensors:
            if t.role not in skip:
                key = (t.role, t.words, t.shared)
                found[key] = found.get(key, 0) + t.moved * t.copies / w.tokens
        return found

    skip = ("activations",) if kind == SPIKE_DRIVEN else ()
    assert moved(run, skip) == moved(derived, skip)


def test_a_variant_is_one_line_that_says_where_its_lifs_stand(monkeypatch, tokens):
    """Model, graph, plan and work from shapes follow, in a variant that nobody has: spikes drive attention alone."""
    monkeypatch.setitem(VARIANTS, "mine", Variant(before=("att",), behind=("ffn",), tau=1.0))
    model = lively_model("mine", tau=1.0)
    graph = exporter.export(model)
    assert variant_of(graph) == "mine"
    simulator = Simulator.from_nir(graph)
    result = simulator.run(tokens, record=True)
    _, taps = torch_run(model, tokens)
    assert {name.split("_")[1] for name in taps} == {"att", "ffn"}
    assert all(np.array_equal(train, result.spikes[name]) for name, train in taps.items())
    run, derived = counted("mine", simulator.plan, result), shapes.spikegpt("mine", "mine", Shape(2, 24, VOCAB))
    n = len(tokens)
    assert {c: {k: v // n for k, v in kinds.items()} for c, kinds in run.components.items()} == derived.components
    assert (run.neurons, run.dense, run.state_words) == (derived.neurons * n, derived.dense * n, derived.state_words)
    assert sum(m.dense for m in result.matrices if m.spike_fed) == model.config.spike_synapses * n


def test_canonical_element_wise_work_is_the_hand_count():
    """Units of d a layer: LayerNorms 6 + shift 10 + WKV 4 + relu^2 4 + gates 2 + LIFs 2 multiplications."""
    found = shapes.spikegpt("c", CANONICAL, Shape(12, 512, 256)).elementwise
    assert found["mul"] == 12 * 512 * 28 + 3 * 512
    assert found["exp"] == 12 * 512 * 4
    assert found["cmp"] == 12 * 512 * 8


def test_element_wise_work_is_priced_by_kind_at_the_bits_of_the_column():
    """10 channels of a sigmoid: 10 exp, 10 div, 10 add."""
    w = one(components={"sigmoid": {"exp": 10, "div": 10, "add": 10}}, channels={"sigmoid": 10})
    compute = profiles.shipped()["45nm-compute"]
    for precision, joules in (("fp32", 10 * (3.7 + 3.7 + 0.9)), ("int8", 10 * (3.1 + 3.1 + 0.1))):
        assert price.price(w, compute, precision).terms["element-wise"] == pytest.approx(joules * 1e-12)
    narrow = next(a for a in compute.alternatives if a.name == "8-bit element-wise work")
    found = price.price(w, compute.under(narrow), "int8")
    assert found.terms["element-wise"] == pytest.approx(10 * (0.2 + 0.2 + 0.03) * 1e-12)


def one(*matrices: MatrixWork, **more) -> Work:
    given = {"components": {}, "channels": {}, "tensors": (), "counted": True}
    return Work("w", 1, matrices or (MatrixWork("m", MAC, 8, 8, 8, 2),), **{**given, **more})


def test_a_component_with_a_price_of_its_own_is_priced_a_channel_and_one_without_is_named_unpriced():
    w = one(components={"sigmoid": {"exp": 10}, "wkv": {"mul": 6, "div": 1}}, channels={"sigmoid": 10, "wkv": 1})
    prices = profiles.Prices(mac_j=1e-12, ac_j=1e-12, sigmoid_j=5e-12)
    profile = replace(profiles.shipped()["45nm-compute"], precisions={"fp32": prices}, alternatives=())
    found = price.price(w, profile, "fp32")
    assert found.terms["element-wise"] == pytest.approx(10 * 5e-12)
    assert found.unpriced == {"wkv": 7, "weights": 8}


def test_unpriced_is_computed_from_counts_and_not_believed():
    claims_all = replace(profiles.shipped()["45nm-compute"], unpriced=())
    assert "weights" in price.price(ROWS["gpt"], claims_all, "fp32").unpriced
    claims_none = replace(profiles.shipped()["45nm-memory"], unpriced=("memory", "elementwise"))
    assert price.price(ROWS["gpt"], claims_none, "fp32").unpriced == {}
    loihi = price.price(ROWS["r=0.15"], profiles.shipped()["loihi1-silicon"], "chip").unpriced
    assert loihi["mac"] == 512 * 5458
    assert {"layer_norm", "wkv", "sigmoid", "gate", "messages", "embedding"} <= set(loihi)


def test_lemaires_formula_by_hand():
    """One projection of 4 inputs, 2 of them active, onto 8 neurons that send 3 spikes; all memories below 8 KB."""
    w = one(MatrixWork("m", AC, 16, 32, 32, 8), neurons=8, active=8, spikes=3)
    found = price.price(w, profiles.shipped()["lemaire2022"], "fp32")
    access = 10e-12 / 8192  # joules an access and byte of memory
    reads = 2 * access * 4 * 4 + 16 * access * 32 * 4 + 2 * (16 + 8) * access * 8 * 4
    assert found.total_j == pytest.approx(16 * 0.9e-12 + 16 * 0.1e-12 + 8 * 4.6e-12 + 3 * 0.9e-12 + reads)


def test_multi_query_attention_and_sparse_relu_by_hand():
    """d = 128, 2 heads, 1 layer, t = 4: keys and values 128 x 64 each; 1 in 10 of 512 hidden units: 51 rows of 128."""
    w = shapes.gpt("strong", Shape(1, 128, 10), 4, kv_heads=1, relu_density=0.1)
    assert w.synops == 2 * 128 * 64 + 2 * 128 * 128 + 512 * 128 + 51 * 128 + 2 * 4 * 128 + 1280
    (kv,) = [t for t in w.tensors if t.role == "kv"]
    assert (kv.words, kv.moved, kv.copies) == (4 * 64, 4 * 64 + 64, 2)
    assert w.components["gelu"] == {"cmp": 512}


def test_ternary_weights_are_two_bits_and_additions():
    w = shapes.spikegpt("t", CONTINUOUS, Shape(1, 64, 10), {"ffn_value": 0.5}, ternary=True)
    found = price.price(w, profiles.shipped()["45nm-memory"], "int8")
    assert found.terms["ternary additions"] == pytest.approx((9 + 2) * 64**2 * 0.1e-12)
    body = {m.bits for m in w.matrices if m.name != "head"}
    assert body == {2}
    assert found.terms["weight reads"] == pytest.approx((11 * 64**2 * 2 + 640 * 8) * 0.15625e-12)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_structure_decides_the_class_and_never_the_counts(rate):
    w = shapes.spikegpt("s", SPIKE_DRIVEN, Shape(2, 64, 10), rate)
    assert w.spiking
    assert w.acs == rate * (13 * 2 * 64**2 + 64 * 10)
    loihi = price.price(w, profiles.shipped()["loihi1-silicon"], "chip")
    assert loihi.terms["neuron updates"] == pytest.approx((10 * 2 * 64 + 64) * 72.8e-12)
    assert price.price(w, profiles.shipped()["lemaire2022"], "fp32") is not None
