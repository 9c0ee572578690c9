"""The standard Lava network: the simulator's bits, delays that balance, and limits that are named."""

from dataclasses import replace

import numpy as np
import pytest

from exporters import nir as exporter
from exporters.loihi.lava import standard
from exporters.loihi.lava.standard.dataflow import order, ranges, sources
from exporters.loihi.lava.standard.nodes import STANDARD, Kind, Schedule
from exporters.loihi.lava.standard.schedule import schedule
from hw_sim import Simulator
from hw_sim.counts.compare import compare
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan import Op, Plan
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.interpreter import Interpreter
from spikegpt import UserError
from tests.conftest import OLD, lively_model
from tests.leftovers import nothing_left

lava = pytest.mark.lava
SOURCES = (Kind.EMBEDDING, Kind.ONES)


def odd_plan(variant: str, n_layer: int, n_embd: int, tau: float | None = None, gain: float = 1.0) -> Plan:
    """An integer plan; `gain` multiplies the LayerNorms' weights, for more spikes and larger signals."""
    model = lively_model(variant, n_layer, n_embd, tau)
    for block in model.blocks:
        for norm in (block.ln1, block.ln2):
            norm.weight.data *= gain
    return build(quantize(exporter.export(model)))


@lava
@pytest.mark.slow
@pytest.mark.parametrize(
    "variant, tau, n_layer, n_embd, gain",
    [("spike-driven", 1.0, 2, 7, 2.0), ("spike-driven", 2.0, 1, 11, 3.0), ("canonical", 2.0, 1, 11, 3.0)],
)
def test_every_spike_and_logit_is_the_simulators(variant, tau, n_layer, n_embd, gain, tokens):
    plan = odd_plan(variant, n_layer, n_embd, tau, gain)
    ours = Simulator(plan).run(tokens[:40], record=True)
    with nothing_left():
        theirs = standard.run(plan, tokens[:40])
    agreement = compare(ours.logits, ours.spikes, theirs.logits, theirs.spikes)
    assert agreement["spike_mismatches"] == 0
    assert agreement["equal_logits"]
    assert all(train.any() for train in ours.spikes.values())
    assert sum(ours.spike_counts.values()) > 100


@lava
@pytest.mark.slow
@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_generation_moves_state_only_where_a_token_is(tau, tokens):
    """The greedy continuation, every spike and every logit are those of the simulator fed with the same tokens."""
    plan = odd_plan("spike-driven", 1, 5, tau, gain=3.0)
    theirs = standard.run(plan, tokens[:5], generate=7)
    text = np.concatenate([tokens[:5], theirs.logits[4:-1].argmax(axis=1)])
    ours = Simulator(plan).run(text, record=True)
    agreement = compare(ours.logits, ours.spikes, theirs.logits, theirs.spikes)
    assert agreement["spike_mismatches"] == 0
    assert agreement["equal_logits"]
    assert sum(ours.spike_counts.values()) > 50


@pytest.mark.parametrize("tau, kind", [(1.0, Kind.LIF), (2.0, Kind.OPERATION)])
def test_a_lif_with_memory_is_held_only_while_generating(tau, kind):
    plan = odd_plan("spike-driven", 1, 5, tau)
    rows = {p.row for p in plan.populations}
    found = [
        [node.kind for node in schedule(plan, generating).nodes if rows.intersection(node.rows)]
        for generating in (False, True)
    ]
    n = len(rows)
    assert found == [[Kind.LIF] * n, [kind] * n]
    assert n == (8 if tau == 1 else 7)  # the head's too in the newest form


def arrivals(lowered: Schedule, steps: int) -> tuple[list[list[int | None]], list[list[set[int | None]]]]:
    """What each process sends in each step, as the number of the token it belongs to, and what each of its ports gets.

    Follows messages alone: a Dense and an identity send what they got some steps ago, everything else answers at once.
    """
    sent: list[list[int | None]] = []
    got: list[list[set[int | None]]] = []
    for node in lowered.nodes:
        ports = [
            [{sent[k][step] for k in parts if lowered.nodes[k].kind != Kind.ONES} for step in range(steps)]
            for parts in node.inputs
        ]
        arriving = [set().union(*(port[step] for port in ports)) for step in range(steps)]
        got.append(arriving)
        if node.kind in SOURCES:
            sent.append(list(range(steps)))
            continue
        late = 1 if node.shift_tokens else node.latency
        tokens = [None] * late + [max(a, key=lambda t: -1 if t is None else t) for a in arriving]
        if node.shift_tokens:  # what it holds back goes to the next token's work
            tokens = [None if t is None else t + 1 for t in tokens]
            tokens[tokens.index(1) - 1] = 0  # the first token finds zeros
        sent.append(tokens[:steps])
    return sent, got


@pytest.mark.parametrize("variant", ["spike-driven", "canonical", "continuous"])
@pytest.mark.parametrize("n_layer, n_embd", [(1, 11), (2, 7), (3, 5), (5, 3)])
def test_every_join_gets_one_token_and_the_logits_come_after_the_latency(variant, n_layer, n_embd):
    plan = odd_plan(variant, n_layer, n_embd)
    lowered = schedule(plan)
    steps = lowered.depth + 12
    sent, got = arrivals(lowered, steps)
    for node, arriving in zip(lowered.nodes, got, strict=True):
        if node.kind not in (Kind.RECORDER, *SOURCES):
            assert all(len(tokens) == 1 for tokens in arriving), node.name
    logits = next(k for k, node in enumerate(lowered.nodes) if node.kind == Kind.LOGITS)
    assert got[logits] == [{None}] * lowered.depth + [{k} for k in range(12)]
    for node, tokens in zip(lowered.nodes, sent, strict=True):
        if any(plan.operation(i).state_written for i in node.rows):  # there a token arrives once, in order
            assert tokens == [None] * node.depth + list(range(steps - node.depth))


def test_a_join_without_its_delay_is_found():
    """The check above is able to fail: one delay a step longer, and the residual stream meets another token."""
    lowered = schedule(odd_plan("spike-driven", 1, 11))
    late = next(k for k, node in enumerate(lowered.nodes) if node.kind == Kind.DELAY and not node.shift_tokens)
    nodes = list(lowered.nodes)
    nodes[late] = replace(nodes[late], latency=nodes[late].latency + 1)
    _, got = arrivals(replace(lowered, nodes=tuple(nodes)), 20)
    assert any(len(tokens) > 1 for node, arriving in zip(nodes, got, strict=True) for tokens in arriving if node.rows)


def test_summary_counts_standard_processes_and_their_synapses():
    lowered = schedule(odd_plan("spike-driven", 2, 7))
    found = lowered.summary()
    assert found["processes"] == found["standard_processes"] + found["custom_processes"] == len(lowered.nodes)
    assert found["standard_processes"] == sum(node.kind in STANDARD for node in lowered.nodes)
    assert found["synapses"] == 2 * 13 * 7 * 7 + 50 * 7
    assert found["standard_synapse_share"] == 1
    assert found["by_kind"]["LIF"] == 15


def test_a_matrix_that_may_outgrow_32_bits_is_no_standard_dense():
    """The squares of a canonical block are only bounded loosely: their matrix sums in 64 bits and checks."""
    plan = odd_plan("canonical", 1, 11)
    lowered = schedule(plan)
    (wide,) = [
        node for node in lowered.nodes if node.kind == Kind.OPERATION and set(node.rows).intersection(plan.matrices)
    ]
    assert wide.name == "block0_ffn_value"
    assert lowered.synapses - lowered.standard_synapses == 4 * 11 * 11


def test_what_feeds_a_lif_saturates_where_lavas_would_wrap():
    def saturating(plan: Plan) -> list[str]:
        return [node.name for node in schedule(plan).nodes if node.limit == fp.INPUT_LIMIT]

    assert not saturating(odd_plan("spike-driven", 1, 11))  # proven to fit
    plan = odd_plan(OLD, 1, 11, 2.0)  # with memory, so that its gain stays a node
    plan.field("shift")[plan.names.index("block0_att_gain")] -= 8
    assert saturating(plan) == ["block0_att_gain"]
    # A product has no limit of its own: a process between it and the LIF saturates.
    assert saturating(odd_plan("canonical", 1, 11)) == ["block0_att_output_scale", "block0_ffn_lif_clip"]


def test_a_product_is_a_standard_neuron_where_it_is_proven_to_fit_32_bits():
    def products(variant: str, kind: Kind) -> list[str]:
        plan = odd_plan(variant, 1, 11)
        rows = {i for op in (Op.MULTIPLY, Op.SQUARED_RELU) for i in plan.rows(op)}
        return [node.name for node in schedule(plan).nodes if node.kind == kind and rows.intersection(node.rows)]

    assert products("spike-driven", Kind.PRODUCT) == ["block0_att_gated", "block0_ffn_gated"]
    assert products("spike-driven", Kind.OPERATION) == []
    assert products("canonical", Kind.OPERATION) == ["block0_ffn_relu2", "block0_ffn_gated"]


@pytest.mark.parametrize("variant", ["spike-driven", "canonical"])
@pytest.mark.parametrize("n_layer, n_embd", [(1, 11), (2, 7)])
def test_no_signal_exceeds_its_proven_range(variant, n_layer, n_embd, tokens):
    plan = odd_plan(variant, n_layer, n_embd, gain=3.0)
    reads = sources(plan)
    proven = ranges(plan, reads, order(plan, reads))
    interpreter, close = Interpreter(plan), 0
    for token in tokens:
        for i in range(len(plan.table)):
            interpreter.execute(i, int(token))
            if plan.operation(i).writes:
                row = plan.row(i)
                largest = int(np.abs(interpreter.signals[row.y : row.y + row.n_out]).max())
                assert largest <= proven[i], plan.names[i]
                close += 2 * largest >= proven[i]
    assert close > 100  # the ranges are not merely large


@pytest.mark.parametrize("decay_bits", [1 << 3, 1 << 8, 1 << 12, 1 << 16])
def test_wkv_stays_within_its_range_when_its_rounding_piles_up(decay_bits):
    """An early key far above the later ones, and the largest value throughout: each step can only round up."""
    for size, value in ((3 * fp.ONE, 5 * fp.ONE + 1), (fp.ONE // 2, 3)):
        k, v = np.array([size, size // 7]), np.array([value, value])
        a, b, p = np.zeros(2, np.int64), np.zeros(2, np.int64), np.full(2, fp.WKV_START)
        reach, largest = fp.wkv_reach(size, value, decay_bits / (1 << fp.EXPONENT_BITS)), 0
        for step in range(2000):
            now = k if step == 0 else -k
            y, a, b, p = fp.wkv(now, v, a, b, p, np.full(2, -decay_bits), np.zeros(2, np.int64))
            largest = max(largest, int(y.max()))
        assert value <= largest <= reach


def test_too_many_processes_are_refused_with_their_number(tokens):
    plan = odd_plan("spike-driven", 5, 5)
    needed = schedule(plan).summary()["processes"]
    assert needed > standard.MAX_PROCESSES
    with pytest.raises(UserError, match=f"{needed} processes, more than {standard.MAX_PROCESSES}"):
        standard.run(plan, tokens[:4])


def test_a_lif_of_several_decays_is_refused_by_name():
    plan = odd_plan("spike-driven", 1, 11)
    lif = int(plan.rows(Op.LIF)[0])
    plan.constants[plan.field("c")[lif]] = 2048
    with pytest.raises(UserError, match=r"block0_att_value_lif.*2048 to 4096"):
        schedule(plan)


def test_a_residual_stream_that_may_outgrow_32_bits_is_refused_by_name():
    plan = odd_plan("spike-driven", 1, 11)
    row = plan.names.index("block0_att_output_scale")
    plan.constants[plan.field("c")[row]] = np.iinfo(np.int32).max
    plan.field("shift")[row] = 0
    with pytest.raises(UserError, match=r"block0_att_residual.*32-bit"):
        schedule(plan)


@pytest.mark.parametrize("tokens", [[], [50], [-1], [[1, 2]]])
def test_tokens_out_of_range_are_refused(tokens):
    with pytest.raises(UserError, match=r"0\.\.49"):
        standard.run(odd_plan("spike-driven", 1, 3), np.array(tokens, np.int64))


def test_an_interpreter_that_is_not_there_is_refused(tokens):
    with pytest.raises(UserError, match="no-such-python: no such Python interpreter"):
        standard.run(odd_plan("spike-driven", 1, 3), tokens[:4], python="no-such-python")


@lava
def test_an_error_inside_a_process_names_it(tokens):
    plan = odd_plan("spike-driven", 1, 3, gain=3.0)
    row = plan.names.index("block0_att_receptance_scale")
    c, n = plan.field("c")[row], plan.field("n_out")[row]
    plan.constants[c : c + n] = np.iinfo(np.int32).max
    plan.field("shift")[row] = 0
    failure = r"process block0_att_receptance_scale: .*does not fit 32 bits"
    with nothing_left(), pytest.raises(UserError, match=failure):
        standard.run(plan, tokens[:20])
