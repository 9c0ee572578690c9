"""NIR networks of standard nodes: each kind against its definition or PyTorch, loops, nesting, steps, refusals."""

from itertools import pairwise

import nir
import numpy as np
import pytest
import torch
from torch.nn import functional

import hw_sim
from hw_sim import Simulator
from hw_sim.counts.networks import count_inputs
from hw_sim.graph.foreign import STEP_KEY, drive, read_foreign
from hw_sim.graph.quantize import quantize
from hw_sim.plan.interpreter import Interpreter
from spikegpt import UserError

STEPS = 20


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def through(tmp_path):
    """Write nodes as a chain, or by edges; read it as another tool's file, with options of `read_foreign`."""

    def read(nodes: dict[str, nir.NIRNode], edges: list | None = None, shape: tuple = (3,), **options) -> nir.NIRGraph:
        nodes = {"in": nir.Input({"input": np.array(shape)}), **nodes, "out": nir.Output({"output": np.array([1])})}
        edges = list(pairwise(nodes)) if edges is None else edges
        nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, edges, type_check=False), compression=None)
        return read_foreign(tmp_path / "n.nir", **options)

    return read


def run(graph: nir.NIRGraph, x: np.ndarray):
    """The result over x (T, ..); the numpy steps give the same."""
    simulator = Simulator.from_nir(drive(graph, x))
    result, slow = simulator.run(np.arange(len(x)), record=True), Interpreter(simulator.plan)
    stepped = np.array([slow.step(t) for t in range(len(x))])
    np.testing.assert_allclose(result.logits, stepped, rtol=1e-4, atol=1e-5)
    return result


def conv(weight: np.ndarray, shape, stride=1, padding=0, dilation=1, groups=1, bias=None) -> nir.NIRNode:
    kind = nir.Conv1d if weight.ndim == 3 else nir.Conv2d
    bias = np.zeros(len(weight), np.float32) if bias is None else bias
    return kind(shape, weight.astype(np.float32), stride, padding, dilation, groups, bias)


@pytest.mark.parametrize(
    "stride, padding, dilation, groups, kernel",
    [(1, 0, 1, 1, (3, 3)), (2, 1, 1, 1, (5, 3)), (1, 2, 2, 1, (3, 3)), (3, 0, 1, 2, (2, 4)), (4, 3, 1, 1, (3, 7)),
     ((2, 1), (0, 3), (1, 2), 4, (3, 2))],
)  # fmt: skip
def test_a_convolution_is_torchs_and_counts_its_taps(through, rng, stride, padding, dilation, groups, kernel):
    weight, bias = rng.normal(size=(8, 4 // groups, *kernel)), rng.normal(size=8).astype(np.float32)
    x = np.where(rng.random((STEPS, 4, 9, 7)) < 0.3, rng.normal(size=(STEPS, 4, 9, 7)), 0).astype(np.float32)
    node = conv(weight, (9, 7), stride, padding, dilation, groups, bias)
    result = run(through({"c": node}, shape=(4, 9, 7)), x)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    expected = functional.conv2d(torch.tensor(x), torch.tensor(node.weight), torch.tensor(bias), **options)
    np.testing.assert_allclose(result.logits, expected.reshape(STEPS, -1).numpy(), rtol=1e-4, atol=1e-4)
    ones = torch.ones_like(torch.tensor(node.weight))  # what an input reaches: itself through a kernel of ones
    reached = functional.conv2d(torch.tensor((x != 0).astype(np.float32)), ones, **options).sum()
    everything = functional.conv2d(torch.ones(STEPS, 4, 9, 7), ones, **options).sum()
    (matrix,) = (m for m in result.matrices if m.name == "c")
    assert (matrix.effective, matrix.dense) == (int(reached), int(everything))


def test_a_convolution_of_one_dimension_is_torchs(through, rng):
    weight, x = rng.normal(size=(6, 3, 4)), rng.normal(size=(STEPS, 3, 11)).astype(np.float32)
    result = run(through({"c": conv(weight, 11, 2, 1)}, shape=(3, 11)), x)
    expected = functional.conv1d(torch.tensor(x), torch.tensor(weight, dtype=torch.float32), stride=2, padding=1)
    np.testing.assert_allclose(result.logits, expected.reshape(STEPS, -1).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel, stride, padding", [(2, 2, 0), ((3, 2), (1, 2), (1, 0)), (3, 2, 1)])
def test_pools_are_torchs(through, rng, kernel, stride, padding):
    x = rng.normal(size=(STEPS, 2, 7, 8)).astype(np.float32)
    size = np.prod(np.broadcast_to(kernel, 2))
    mean = functional.avg_pool2d(torch.tensor(x), kernel, stride, padding).reshape(STEPS, -1).numpy()
    fields = (np.array(np.broadcast_to(v, 2)) for v in (kernel, stride, padding))
    fields = tuple(fields)
    for kind, expected in ((nir.AvgPool2d, mean), (nir.SumPool2d, mean * size)):
        result = run(through({"p": kind(*fields)}, shape=(2, 7, 8)), x)
        np.testing.assert_allclose(result.logits, expected, rtol=1e-4, atol=1e-5)


def cnn(rng: np.random.Generator) -> dict[str, nir.NIRNode]:
    """Two convolutions of spikes, a pool of them, a dense layer; neurons as a tool stores one for all."""
    neurons = [nir.IF(np.array(1.0), np.array(v)) for v in (1.0, 0.6, 0.4)]
    return {
        "c": conv(rng.normal(size=(4, 2, 3, 3)), (8, 8), 1, 1), "a": neurons[0],
        "d": conv(rng.normal(size=(6, 2, 3, 3)), (8, 8), 2, 1, 1, 2), "b": neurons[1],
        "p": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "f": nir.Flatten({"input": np.array([6, 2, 2])}, 0, -1),
        "l": nir.Affine(rng.normal(size=(5, 24)).astype(np.float32), np.zeros(5, np.float32)), "e": neurons[2],
    }  # fmt: skip


class Torch(torch.nn.Module):
    """The same network of SpikingJelly's neurons."""

    def __init__(self, nodes: dict[str, nir.NIRNode]):
        super().__init__()
        neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
        self.c = torch.nn.Conv2d(2, 4, 3, 1, 1, bias=False)
        self.d = torch.nn.Conv2d(4, 6, 3, 2, 1, groups=2, bias=False)
        self.l = torch.nn.Linear(24, 5, bias=False)
        for name in "cdl":
            getattr(self, name).weight.data = torch.tensor(nodes[name].weight)
        self.a, self.b, self.e = (neuron.IFNode(float(nodes[k].v_threshold)) for k in "abe")

    def forward(self, x):
        x = self.b(self.d(self.a(self.c(x))))
        return self.e(self.l(4 * functional.avg_pool2d(x, 2).flatten(1)))


def test_a_spiking_cnn_counts_as_the_same_module_of_torch(through, rng):
    nodes = cnn(rng)
    x = (rng.random((STEPS, 2, 8, 8)) < 0.2).astype(np.float32)
    graph = through(nodes, shape=(2, 8, 8))
    assert "IF neurons of r = 1" in graph.metadata[STEP_KEY]
    ours = count_inputs(graph, x, spike_input=True)
    theirs = hw_sim.count(Torch(nodes), torch.tensor(x)[:, None], steps=STEPS, spike_input=True)
    for of in ("dense", "effective", "accumulates", "graded", "macs", "updates", "spikes"):
        assert ours.total(of) == theirs.total(of), of
    assert ours.total("accumulates") > 0
    assert ours.total("graded") > 0
    by_name = {layer.name: layer for layer in ours.layers}
    assert (by_name["d"].structure, by_name["l"].structure) == ("spikes", "graded")


def test_an_int8_cnn_is_its_numpy_specification_to_the_bit(through, rng):
    x = (rng.random((STEPS, 2, 8, 8)) < 0.3).astype(np.float32)
    simulator = Simulator.from_nir(quantize(drive(through(cnn(rng), shape=(2, 8, 8)), x)))
    result, slow = simulator.run(np.arange(STEPS), record=True), Interpreter(simulator.plan)
    spikes = []
    for t in range(STEPS):
        slow.step(t)
        spikes.append(slow.spikes.copy())
    assert all(np.array_equal(result.spikes[k], v) for k, v in simulator.plan.trains(np.array(spikes)).items())
    assert all(s.any() for s in result.spikes.values())


def stepped(x: np.ndarray, dt: float, tau: float, exact: bool) -> np.ndarray:
    """A leaky integrator by hand."""
    rate = 1 - np.exp(-dt / tau) if exact else dt / tau
    v, found = np.zeros(x.shape[1]), []
    for row in x:
        v = v + (row - v) * rate
        found.append(v)
    return np.array(found)


@pytest.mark.parametrize("exact", [False, True])
def test_integrators_are_euler_or_exact_steps(through, rng, exact):
    x, one = rng.normal(size=(STEPS, 3)).astype(np.float32), np.ones(3)
    how = {"dt": 1e-3, "convention": "exact" if exact else "euler"}
    li = run(through({"n": nir.LI(4e-3 * one, 2 * one, 0 * one)}, **how), x).logits
    np.testing.assert_allclose(li, stepped(2 * x, 1e-3, 4e-3, exact), rtol=1e-4, atol=1e-5)
    cuba = nir.CubaLI(tau_syn=2e-3 * one, tau_mem=4e-3 * one, r=3 * one, v_leak=0 * one, w_in=2 * one)
    expected = stepped(3 * stepped(2 * x, 1e-3, 2e-3, exact), 1e-3, 4e-3, exact)
    np.testing.assert_allclose(run(through({"n": cuba}, **how), x).logits, expected, rtol=1e-4, atol=1e-5)
    summed = run(through({"n": nir.I(5e2 * one)}, **how), x).logits
    np.testing.assert_allclose(summed, np.cumsum(0.5 * x, axis=0), rtol=1e-4, atol=1e-4)


def test_neurons_that_fire_are_reset_above_their_threshold(through):
    x = np.array([[0.6], [0.6], [0.6], [2.0], [0.1]], np.float32)
    half = nir.IF(np.array([1.0]), np.array([1.0]), np.array([-0.5]))
    assert run(through({"n": half}, shape=(1,), dt=1), x).logits.ravel().tolist() == [0, 1, 0, 1, 0]
    assert run(through({"n": nir.Threshold(np.array([0.6]))}, shape=(1,)), x).logits.ravel().tolist() == [0, 0, 0, 1, 0]


def test_a_current_based_neuron_fires_as_snntorchs_synaptic_does(through, rng):
    snntorch = pytest.importorskip("snntorch")
    alpha, beta = 0.7, 0.9
    x = rng.normal(0.2, 0.5, (200, 4)).astype(np.float32)
    cell = snntorch.Synaptic(alpha=alpha, beta=beta, reset_mechanism="zero", reset_delay=False)
    syn, mem, fired = *cell.init_synaptic(), []
    for row in torch.tensor(x):
        spikes, syn, mem = cell(row, syn, mem)
        fired.append(spikes.detach().numpy())
    tau_syn, tau_mem = (1e-4 / (1 - a) * np.ones(4) for a in (alpha, beta))
    node = nir.CubaLIF(tau_syn, tau_mem, tau_mem / 1e-4, np.zeros(4), np.ones(4), np.zeros(4), tau_syn / 1e-4)
    result = run(through({"n": node}, shape=(4,)), x)
    assert np.array_equal(result.spikes["n"], np.array(fired))
    assert 20 < result.spikes["n"].sum() < 700


def test_delays_of_several_steps_differ_by_neuron(through, rng):
    x = rng.normal(size=(STEPS, 3)).astype(np.float32)
    result = run(through({"d": nir.Delay(np.array([1e-4, 3e-4, 7e-4]))}), x)
    for j, steps in enumerate((1, 3, 7)):
        assert np.array_equal(result.logits[:, j], np.concatenate([np.zeros(steps, np.float32), x[:-steps, j]]))


def recurrent(rng: np.random.Generator) -> tuple[dict, list]:
    nodes = {
        "w": nir.Linear(rng.normal(size=(6, 3)).astype(np.float32)),
        "n": nir.IF(np.ones(6), 2 * np.ones(6)),
        "r": nir.Linear(rng.normal(size=(6, 6)).astype(np.float32)),
    }
    return nodes, [("in", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "out")]


def test_recurrence_reads_the_spikes_of_the_step_before(through, rng):
    nodes, edges = recurrent(rng)
    x = rng.normal(size=(STEPS, 3)).astype(np.float32)
    result = run(through(nodes, edges), x)
    v, s, fired = np.zeros(6), np.zeros(6), []
    for row in x:
        v = v + nodes["w"].weight @ row + nodes["r"].weight @ s
        s = (v > 2).astype(float)
        v = np.where(s > 0, 0, v)
        fired.append(s)
    assert np.array_equal(result.logits, np.array(fired))
    (back,) = (m for m in result.matrices if m.name == "r")
    assert back.spike_fed
    assert back.effective == 6 * int(np.sum(fired[:-1]))


def test_a_graph_within_a_graph_is_its_nodes_in_line(through, rng):
    nodes, edges = recurrent(rng)
    x = rng.normal(size=(STEPS, 3)).astype(np.float32)
    inner = {"i": nir.Input({"input": np.array([6])}), "n": nodes["n"], "r": nodes["r"],
             "o": nir.Output({"output": np.array([6])})}  # fmt: skip
    nested = nir.NIRGraph(inner, [("i", "n"), ("n", "r"), ("r", "n"), ("n", "o")], type_check=False)
    graph = through({"w": nodes["w"], "block": nested}, shape=(3,))
    assert {"block.n", "block.r"} <= graph.nodes.keys()
    assert np.array_equal(run(graph, x).logits, run(through(nodes, edges), x).logits)


def test_the_step_is_the_writers_unless_it_is_named(through):
    one = np.ones(3)
    norse = {"n": nir.LIF(np.array(1e-5), np.array(1.0), np.array(0.0), np.array(1.0), np.array(0.0))}
    assert through(norse).metadata[STEP_KEY].startswith("a step of 1e-06 s, euler")
    sinabs = {"n": nir.LI(20 * one, one, 0 * one)}
    assert through(sinabs).metadata[STEP_KEY].startswith("a step of 1 s, exact")
    assert through(sinabs, dt=0.5, convention="euler").metadata[STEP_KEY] == "a step of 0.5 s, euler (as asked for)"
    with pytest.raises(UserError, match=r"'n'.*longer than its time constant"):
        through(norse, dt=1e-4)


@pytest.mark.parametrize(
    "node, shape, said",
    [
        (conv(np.ones((2, 3, 5, 5)), (4, 4)), (3, 4, 4), "'x'.*kernel reaches over 5 values, more than the 4"),
        (conv(np.ones((2, 3, 3, 3)), (4, 4), padding="same"), (3, 4, 4), "'x'.*padding.*is a name"),
        (conv(np.ones((2, 3, 3, 3)), (4, 4)), (2, 4, 4), "'x'.*reads 3 channels, its input has 2"),
        (conv(np.ones((2, 3, 3, 3)), (4, 4)), (47,), "'x'.*reads 3 dimensions"),
        (nir.Linear(np.ones((2, 4), np.float32)), (3,), None),
        (nir.Scale(np.ones(5)), (3,), "'x'.*scale holds 5 values for 3"),
        (nir.Delay(np.full(3, 1.5e-4)), (3,), "'x'.*no whole number of steps"),
        (nir.LI(np.zeros(3), np.ones(3), np.zeros(3)), (3,), "'x'.*tau must be positive"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(through, node, shape, said):
    if said is None:  # the input takes the width of the matrix that reads it
        assert through({"x": node}, shape=shape).nodes["in"].output_type["output"].tolist() == [4]
        return
    with pytest.raises(UserError, match=said):
        through({"x": node}, shape=shape)


def test_what_would_need_too_much_memory_is_refused_before_it_is_asked_for(through, rng):
    wide = conv(rng.normal(size=(8, 3, 3, 3)), (400, 400), 1, 1)
    plan = Simulator.from_nir(drive(through({"c": wide}, shape=(3, 400, 400)), np.zeros((1, 3, 400, 400)))).plan
    with pytest.raises(UserError, match="'c': as a matrix its kernel has"):
        plan.matrix(plan.matrices[0])
    slow = nir.Delay(np.full(1000, 5.0))
    with pytest.raises(UserError, match="'d': 1,000 delays of up to 50,000 steps"):
        Simulator.from_nir(drive(through({"d": slow}, shape=(1000,)), np.zeros((1, 1000))))


def test_a_loop_without_a_neuron_is_refused_by_its_nodes(through):
    nodes = {"a": nir.Scale(np.ones(3)), "b": nir.Scale(np.ones(3))}
    with pytest.raises(UserError, match="a, b form a cycle without a Delay"):
        through(nodes, [("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")])
