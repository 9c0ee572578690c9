"""The int8 network: compiled loop and numpy interpreter agree bit for bit; quantisation does what it says."""

from itertools import pairwise

import nir
import numpy as np
import pytest

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.graph.quantize import fold_scales_into_thresholds, quantize, round_matrices
from hw_sim.graph.to_plan import build
from hw_sim.plan import Plan
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.checks import check_membranes
from hw_sim.plan.interpreter import Interpreter
from spikegpt import UserError
from tests.conftest import lively_model


@pytest.mark.parametrize(
    "variant, tau",
    [("spike-driven", 1.0), ("spike-driven", 2.0), ("spike-driven", 3.0), ("canonical", 2.0), ("continuous", 2.0)],
)
def test_compiled_loop_is_the_interpreter_bit_for_bit(variant, tau, tokens):
    simulator = Simulator.from_nir(quantize(exporter.export(lively_model(variant, tau=tau))))
    result = simulator.run(tokens, record=True)
    slow = Interpreter(simulator.plan)
    logits, raster = [], []
    for token in tokens:
        logits.append(slow.step(int(token)))
        raster.append(slow.spikes.copy())
    assert np.array_equal(np.array(logits) / fp.ONE, result.logits)
    assert np.array_equal(slow.state, simulator.state)
    if result.spikes:
        assert np.array_equal(np.array(raster), np.concatenate(list(result.spikes.values()), axis=1))


def test_lif_by_hand_is_lavas():
    """decay 2048 keeps half, truncated toward zero; the threshold is strict; input is shifted by 6 bits."""
    decay, threshold = np.array([2048]), np.array([9])
    spikes, v = fp.lif(np.array([9]), np.array([0]), decay, threshold)
    assert (spikes.item(), v.item()) == (0, 9 << 6)
    spikes, v = fp.lif(np.array([5]), v, decay, threshold)
    assert (spikes.item(), v.item()) == (1, 0)  # 288 + 320 = 608 > 576
    _, v = fp.lif(np.array([0]), np.array([-3]), decay, threshold)
    assert v.item() == -1


def test_membrane_saturates_at_24_bits():
    _, v = fp.lif(np.array([-(1 << 20)]), np.array([-(1 << 23) + 1]), np.array([0]), np.array([1]))
    assert v.item() == -fp.MEMBRANE_LIMIT


def test_weights_are_rounded_by_at_most_half_a_step(spiking_model):
    graph = exporter.export(spiking_model)
    rounded = round_matrices(graph)
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Linear) and name != "embedding":
            q, scale = rounded.nodes[name].weight, rounded.nodes[f"{name}_scale"].scale
            assert q.dtype == np.int8
            assert np.all(np.abs(q * scale[:, None] - node.weight) <= 0.5001 * scale[:, None])


def test_folding_a_scale_into_a_threshold_changes_no_spike(spiking_model, tokens):
    """The same int8 network with its scales as nodes, computed in float: spikes of the folded populations agree."""
    unfolded = round_matrices(exporter.export(spiking_model))
    folded = fold_scales_into_thresholds(unfolded)
    assert "block0_ffn_key_scale" in unfolded.nodes
    assert "block0_ffn_key_scale" not in folded.nodes
    a = Simulator.from_nir(unfolded).run(tokens, record=True)
    b = Simulator.from_nir(folded).run(tokens, record=True)
    different = (a.spikes["block0_ffn_value_lif"] != b.spikes["block0_ffn_value_lif"]).mean()
    assert different < 1e-3  # the unfolded form rounds once more, to the signal grid


def test_scale_is_kept_where_the_threshold_would_not_fit(spiking_model):
    graph = exporter.export(spiking_model)
    graph.nodes["block0_ffn_key"].weight[0] *= 1e-6
    assert "block0_ffn_key_scale" in quantize(graph).nodes


def test_integer_logits_follow_the_float_ones():
    """With tau = 2 this random model has no spike at its threshold: only rounding is left."""
    model = lively_model("spike-driven", tau=2.0)
    text = np.random.default_rng(0).integers(0, 50, 100)
    graph = exporter.export(model)
    exact, rounded = (Simulator.from_nir(g).run(text, record=True) for g in (graph, quantize(graph)))
    assert sum(exact.spike_counts.values()) > 0
    assert np.abs(exact.logits - rounded.logits).max() < 0.1


def test_plan_survives_its_file(spiking_model, tmp_path):
    plan = build(quantize(exporter.export(spiking_model)))
    plan.save(tmp_path / "plan.npz")
    again = Plan.load(tmp_path / "plan.npz")
    assert again.names == plan.names
    assert np.array_equal(again.table, plan.table)
    assert again.weights.dtype == np.int8
    assert np.array_equal(again.constants, plan.constants)
    (tmp_path / "plan.npz").write_bytes(b"no")
    with pytest.raises(UserError, match=r"not a \.npy or \.npz of arrays"):
        Plan.load(tmp_path / "plan.npz")


def test_a_sum_that_can_exceed_the_membrane_is_reported_by_name():
    plan = build(quantize(exporter.export(lively_model("spike-driven", 1, 16))))
    assert check_membranes(plan)["largest_possible_input"] <= 16 * 127
    with pytest.raises(UserError, match="block0_ffn_key"):
        check_membranes(wide_plan())


def wide_plan() -> Plan:
    """A hidden population with 2,000 inputs at the largest weight: 254,000 > 2^17 - 1."""
    n = 2000
    ones = np.ones((4, n))
    lif = {"r": np.ones, "v_leak": np.zeros, "v_reset": np.zeros}

    def neurons(width):
        return nir.LIF(
            tau=np.full(width, exporter.DT), v_threshold=np.ones(width), **{k: f(width) for k, f in lif.items()}
        )

    nodes = {
        "token": nir.Input({"input": np.array([2])}),
        "embedding": nir.Linear(np.ones((n, 2), np.float32)),
        "in_lif": neurons(n),
        "block0_ffn_key": nir.Linear(np.full(ones.shape, 127, np.int8)),
        "hidden_lif": neurons(4),
        "out": nir.Output({"output": np.array([4])}),
    }
    names = list(nodes)
    return build(nir.NIRGraph(nodes, list(pairwise(names))))
