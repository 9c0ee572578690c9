"""The simulator on random small networks: the slow interpreters' numbers, however a run is cut, saved or shared out."""

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.counts.counts import merge
from hw_sim.graph import reference
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan import FIELDS, Op, Plan
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.checks import check_accumulators
from hw_sim.plan.interpreter import Interpreter
from spikegpt import UserError
from tests.conftest import lively_model
from tests.random_networks import TOKENS, networks

texts = st.integers(0, 1 << 32).flatmap(
    lambda seed: st.integers(1, 24).map(lambda n: np.random.default_rng(seed).integers(0, TOKENS, n))
)
often = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
seldom = settings(often, max_examples=40)


@often
@given(networks(integer=True, loops=True), texts)
def test_an_integer_network_is_the_interpreter_bit_for_bit(graph, tokens):
    simulator = Simulator(build(graph), threads=1)
    result = simulator.run(tokens, record=True)
    slow = Interpreter(simulator.plan)
    logits, raster = [], []
    for token in tokens:
        logits.append(slow.step(int(token)))
        raster.append(slow.spikes.copy())
    assert np.array_equal((np.array(logits) / fp.ONE).astype(np.float32), result.logits)
    assert np.array_equal(slow.state, simulator.state)
    assert np.array_equal(np.array(raster, np.uint8), raster_of(result, simulator.plan))
    assert result.spike_counts == {name: int(train.sum()) for name, train in result.spikes.items()}


@often
@given(networks(integer=False), texts)
def test_a_float_network_is_the_reference_on_the_graph(graph, tokens):
    margins, spikes, out = [], {}, {}

    def see(name: str, drive: np.ndarray, y: np.ndarray) -> None:
        if isinstance(graph.nodes[name], nir.LIF):
            spikes[name] = y
            margins.append(margin(graph.nodes[name], drive))
        out[name] = y

    reference.run(graph, tokens, see)
    assume(min(margins, default=1.0) > 1e-4)  # nearer the threshold float32 may go either way
    result = Simulator(build(graph), threads=1).run(tokens, record=True)
    assert set(result.spikes) == set(spikes)
    for name, train in result.spikes.items():
        assert np.array_equal(train, spikes[name]), name
    expected = out["head_scale"]
    assert np.allclose(result.logits, expected, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(expected).max()))


def margin(node: nir.LIF, drive: np.ndarray) -> float:
    """How near to its threshold any membrane comes, relative to its size, in float64."""
    v, nearest = np.zeros(drive.shape[1]), np.inf
    for x in drive.astype(np.float64):
        v = v + (node.r * x - v + node.v_leak) * exporter.DT / node.tau
        nearest = min(nearest, float(np.min(np.abs(v - node.v_threshold) / (1 + np.abs(v)))))
        v = np.where(v > node.v_threshold, node.v_reset, v)
    return nearest


def renamed(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The same network, its nodes named as what passes and planners might derive from each other's names."""
    called = {}
    for i, name in enumerate(sorted(graph.nodes)):
        called[name] = "n" + "".join(((":in", "_scale", "_sum", "_bias")[k % 4]) for k in range(i))[: 4 * i]
        while called[name] in list(called.values())[:-1]:
            called[name] += "_scale"
    nodes = {called[name]: node for name, node in graph.nodes.items()}
    return nir.NIRGraph(nodes, [(called[a], called[b]) for a, b in graph.edges], type_check=False)


@seldom
@given(networks(integer=True, loops=True), texts)
def test_names_mean_nothing(graph, tokens):
    ours, theirs = (Simulator(build(each), threads=1).run(tokens) for each in (graph, renamed(graph)))
    assert np.array_equal(ours.logits, theirs.logits)
    assert ours.synops == theirs.synops


def test_the_scale_behind_a_quantised_matrix_takes_nobodys_name():
    def chain(name: str) -> nir.NIRGraph:
        nodes = {
            "token": nir.Input({"input": np.array([2])}),
            "embedding": nir.Linear(np.array([[0.5, 2.0]], np.float32)),
            "matrix": nir.Linear(np.full((1, 1), 0.3, np.float32)),
            name: nir.Scale(np.full(1, 4, np.float32)),
            "out": nir.Output({"output": np.array([1])}),
        }
        return nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)

    logits = [
        Simulator(build(quantize(chain(name)))).run(np.arange(2)).logits.tolist() for name in ("s", "matrix_scale")
    ]
    assert logits[0] == logits[1]


def test_no_name_of_a_node_is_taken_for_the_scale_of_anothers_input():
    one = np.ones(1, np.float32)
    for name in ("matrix", "s:in"):
        nodes = {
            "token": nir.Input({"input": np.array([2])}),
            "embedding": nir.Linear(np.ones((1, 2), np.float32)),
            name: nir.Linear(np.full((1, 1), 3, np.int8)),
            "s": nir.Scale(3 * one),
            "out": nir.Output({"output": np.array([1])}),
        }
        graph = nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)
        assert Simulator(build(graph)).run(np.array([0])).logits.tolist() == [[9.0]]


def raster_of(result, plan: Plan) -> np.ndarray:
    parts = [np.zeros((len(result.logits), 0), np.uint8), *result.spikes.values()]
    assert sum(part.shape[1] for part in parts) == plan.n_events
    return np.concatenate(parts, axis=1)


@seldom
@given(st.data(), st.booleans().flatmap(lambda integer: networks(integer, loops=True)), st.integers(1, 3))
def test_cuts_resets_stored_states_and_threads_change_nothing(data, graph, threads):
    tokens = np.random.default_rng(0).integers(0, TOKENS, data.draw(st.sampled_from([3, 40, 150])))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(tokens) - 1), max_size=3, unique=True)))
    plan = build(graph)
    whole = Simulator(plan, threads=1)
    expected = whole.run(tokens, record=True)
    simulator, parts = Simulator(plan, threads=threads), []
    simulator.run(tokens[:2])
    simulator.reset()
    with tempfile.TemporaryDirectory() as folder:
        for part in np.split(tokens, cuts):
            parts.append(simulator.run(part, record=True))
            simulator.save_state(Path(folder) / "state.npz")
            simulator = Simulator(plan, threads=threads)
            simulator.load_state(Path(folder) / "state.npz")
    assert np.array_equal(np.concatenate([part.logits for part in parts]), expected.logits)
    assert np.array_equal(np.concatenate([raster_of(part, plan) for part in parts]), raster_of(expected, plan))
    assert np.array_equal(simulator.state, whole.state)
    found = merge(parts)
    assert found.matrices == expected.matrices
    for ours, theirs in zip(found.populations, expected.populations, strict=True):
        assert np.array_equal(ours.fired, theirs.fired)
        assert (ours.active, ours.tokens) == (theirs.active, theirs.tokens)


TEXT = np.arange(40) % 50


@pytest.fixture(scope="module", params=["spike-driven", "canonical"])
def float_plan(request) -> Plan:
    return build(exporter.export(lively_model(request.param, 1, tau=2.0)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_state_that_is_not_finite_is_reported_with_node_and_token(float_plan, bad):
    """In every vector of every node that keeps a state."""
    simulator, checked = Simulator(float_plan), set()
    for i, row in enumerate(float_plan.table):
        n, s = row[FIELDS.index("n_out")], row[FIELDS.index("s")]
        for vector in range({Op.DELAY_READ: 1, Op.LIF: 1, Op.WKV: 3}.get(row[0], 0)):
            simulator.reset()
            simulator.run(TEXT[:7])
            simulator.state[s + vector * n + n // 2] = bad
            with pytest.raises(UserError, match=f"{float_plan.names[i]!r}: its state is not finite before token 7"):
                simulator.run(TEXT[7:])
            checked.add(Op(row[0]))
    assert checked == {Op.DELAY_READ, Op.LIF, Op.WKV}


def test_what_becomes_infinite_on_the_way_is_reported_with_its_node_and_token_and_the_state_is_kept(float_plan):
    """A key that grows a hundredfold: the sum behind it overflows at the first token that holds it."""
    simulator = Simulator(replace(float_plan, constants=float_plan.constants.copy()))
    (embedding,) = float_plan.rows(Op.EMBED)
    at, n = (int(float_plan.field(name)[embedding]) for name in ("c", "n_out"))
    simulator.plan.constants[at + 30 * n : at + 31 * n] = 3e38 * np.array([1, -1] * (n // 2))
    simulator.run(TEXT[:7])
    before = simulator.state.copy()
    with pytest.raises(UserError, match=r"'block0_\w+' gave a number that is not finite at token 30"):
        simulator.run(TEXT[7:])
    assert np.array_equal(simulator.state, before)
    assert simulator.position == 7


def test_state_and_position_agree_after_an_exception_from_outside(float_plan):
    """Whoever is told of progress may stop the run: it can then be run again from where it began."""
    tokens = np.arange(300) % 50
    simulator, whole = Simulator(float_plan), Simulator(float_plan)
    expected = [whole.run(tokens[:7]), whole.run(tokens[7:])][1]
    simulator.run(tokens[:7])
    before, told = simulator.state.copy(), []

    def stop(done: int) -> None:
        told.append(done)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulator.run(tokens[7:], progress=stop)
    assert np.array_equal(simulator.state, before)
    assert simulator.position == 7
    assert np.array_equal(simulator.run(tokens[7:]).logits, expected.logits)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_or_parameter_that_is_not_finite_names_its_node(float_plan, bad):
    checked = set()
    for i, row in enumerate(float_plan.table):
        op, at = Op(row[0]), {name: int(value) for name, value in zip(FIELDS, row, strict=True)}
        for buffer, field, size in (("weights", "w", at["n_in"] * at["n_out"]), ("constants", "c", at["n_out"])):
            users = {"w": {Op.EVENTS, Op.DENSE, Op.SPARSE}, "c": {Op.EMBED, Op.SCALE, Op.LAYER_NORM, Op.LIF, Op.WKV}}
            if op in users[field]:
                values = getattr(float_plan, buffer).copy()
                values[at[field] + size - 1] = bad
                with pytest.raises(UserError, match=f"{float_plan.names[i]!r}.*not a finite number"):
                    Simulator(replace(float_plan, **{buffer: values}))
                checked.add(op)
    assert {Op.EMBED, Op.SCALE, Op.LAYER_NORM, Op.LIF, Op.WKV, Op.DENSE} <= checked


@pytest.mark.parametrize("op", [Op.SIGMOID, Op.SQUARED_RELU, Op.WKV, Op.LAYER_NORM, Op.MULTIPLY, Op.SCALE, Op.ADD])
def test_no_operation_swallows_nan(op):
    """What a matrix sums to inf - inf must not come out of the next operation as a number."""
    from hw_sim.run.pipeline import run_rows

    n = 9
    table = np.zeros((1, len(FIELDS)), np.int64)
    fields = {"op": int(op), "x": 0, "z": n, "y": 2 * n, "n_in": n, "n_out": n}
    for name, value in fields.items():
        table[0, FIELDS.index(name)] = value
    plan = Plan(("node",), table, np.zeros(1, np.float32), np.full(3 * n, -0.5, np.float32),
                np.ones(3 * n, np.float32), 3 * n, 0, 1, False)  # fmt: skip
    for spoiled in (0, n) if op in (Op.WKV, Op.MULTIPLY, Op.ADD) else (0,):
        signals = np.ones(3 * n, np.float32)
        signals[spoiled + 4] = np.nan
        run_rows(plan, [0], plan.state.copy(), signals, np.zeros(1, np.int32), np.zeros(2, np.int64),
                 np.zeros(1, np.int64), np.zeros((1, n), np.float32), np.zeros(1, np.uint16),
                 np.zeros((0, 0), np.uint8))  # fmt: skip
        assert np.isnan(signals[2 * n + 4])


def one_matrix(n_in: int, weight: int) -> Plan:
    """A spike-fed matrix with one output, alone."""
    table = np.zeros((1, len(FIELDS)), np.int64)
    for name, value in {"op": int(Op.EVENTS), "n_in": n_in, "n_out": 1}.items():
        table[0, FIELDS.index(name)] = value
    weights, nothing = np.full(n_in, weight, np.int8), np.zeros(0, np.int32)
    return Plan(("wide",), table, weights, nothing, nothing.astype(np.int64), 1, n_in, 1, True)


@pytest.mark.parametrize("weight", [127, -127])
def test_an_accumulator_that_could_overflow_names_its_node(weight):
    fits = ((1 << 31) - 1) // 127
    check_accumulators(one_matrix(fits, weight))
    with pytest.raises(UserError, match="'wide': its sum can reach 2147483767"):
        check_accumulators(one_matrix(fits + 1, weight))
