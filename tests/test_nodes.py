"""Counters by node: exact against a recount that runs the plan step by step and looks at every value."""

from collections import Counter

import numpy as np
import pytest

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.counts.counts import merge
from hw_sim.counts.nodes import ELEMENTWISE, elementwise_totals, node_counts
from hw_sim.energy.measure import counted
from hw_sim.graph.quantize import quantize
from hw_sim.plan import Op
from hw_sim.plan.interpreter import Interpreter
from tests.conftest import lively_model

TOKENS = np.random.default_rng(3).integers(0, 50, 40)


def simulated(variant: str, tau: float = 2.0) -> tuple[Simulator, dict]:
    simulator = Simulator.from_nir(quantize(exporter.export(lively_model(variant, tau=tau))))
    return simulator, node_counts(simulator.plan, simulator.run(TOKENS))


def recount(plan, tokens: np.ndarray) -> dict[str, Counter]:
    """Operations and bytes of every node, one synapse and one word at a time where that is what is counted."""
    slow, found = Interpreter(plan), {name: Counter() for name in plan.names}
    for token in tokens:
        for i, name in enumerate(plan.names):
            op, x, _, n_in, n_out, *_, e, marked, _ = plan.row(i)
            seen, c = slow.signals[x : x + n_in].copy(), found[name]
            drives = slow.spikes[e : e + n_in].copy()
            slow.execute(i, int(token))
            if op in (Op.EVENTS, Op.SPARSE, Op.DENSE):
                values = drives if op == Op.EVENTS else seen
                for value in values:
                    for _ in range(n_out):
                        c["dense"] += 1
                        kind = {Op.EVENTS: "synops", Op.SPARSE: "graded", Op.DENSE: "macs"}[Op(op)]
                        c[kind] += int(value != 0)
                        c["weight_bytes_read"] += int(op == Op.DENSE or value != 0)
            elif op == Op.EMBED:
                c["weight_bytes_read"] += 4 * n_out
            elif op == Op.LIF:
                c["active"] += int((seen != 0).sum())
                c["idle"] += int((seen == 0).sum())
                c["spikes"] += int(slow.spikes[e : e + n_out].sum())
                c["state_bytes_read"] += 0 if marked else 8 * n_out
                c["state_bytes_written"] += 8 * n_out
                c["parameter_bytes_read"] += 2 * 4 * n_out
            elif op in (Op.DELAY_READ, Op.DELAY_WRITE):
                c["state_bytes_read" if op == Op.DELAY_READ else "state_bytes_written"] += 8 * n_out
            elif op == Op.WKV:
                c["state_bytes_read"] += 3 * 8 * n_out
                c["state_bytes_written"] += 3 * 8 * n_out
                c["parameter_bytes_read"] += 2 * 4 * n_out
            elif op == Op.LAYER_NORM:
                c["parameter_bytes_read"] += 4 * (0 if marked else 2 * n_out) + 4
            elif op == Op.SCALE:
                c["parameter_bytes_read"] += 4 * n_out
    return found


@pytest.mark.parametrize("variant, tau", [("spike-driven", 1.0), ("spike-driven", 2.0), ("canonical", 2.0)])
def test_every_counter_is_that_of_a_recount_value_by_value(variant, tau):
    simulator, nodes = simulated(variant, tau)
    expected = recount(simulator.plan, TOKENS)
    assert list(nodes) == list(dict.fromkeys(simulator.plan.names))
    kinds = ("dense", "synops", "graded", "macs", "active", "idle", "spikes", "weight_bytes_read",
             "parameter_bytes_read", "state_bytes_read", "state_bytes_written")  # fmt: skip
    for name, node in nodes.items():
        assert {k: getattr(node, k) for k in kinds} == {k: expected[name][k] for k in kinds}, name
        assert all(type(getattr(node, k)) is int for k in kinds)
    totals = {k: sum(getattr(node, k) for node in nodes.values()) for k in kinds}
    assert (totals["synops"] > 0) == (variant == "spike-driven")
    assert (totals["graded"] > 0) == (variant == "canonical")  # the values behind relu^2 are integer events


def test_element_wise_operations_are_those_of_the_specification():
    """A LIF multiplies by its decay, adds input and rest, compares; of WKV's four exponentials two are of zero."""
    _, nodes = simulated("spike-driven")
    n = len(TOKENS)
    lif = nodes["block0_ffn_value_lif"]
    assert lif.elementwise == {"mul": 96 * n, "add": 192 * n, "cmp": 96 * n}
    assert nodes["block0_att_wkv"].elementwise["exp"] == 2 * 24 * n
    total = elementwise_totals(nodes)
    assert tuple(total) == ELEMENTWISE
    assert total["exp"] == 2 * (2 + 2) * 24 * n  # WKV, and one sigmoid in each half of a block
    assert total["sqrt"] == 5 * n  # LayerNorms: two a block and the last


def test_a_memoryless_neuron_is_one_comparison_and_a_folded_norm_has_no_parameters():
    _, nodes = simulated("spike-driven", 1.0)
    n = len(TOKENS)
    assert nodes["block0_ffn_value_lif"].elementwise == {"cmp": 96 * n}
    assert nodes["block0_att_output_lif"].elementwise == {"cmp": 24 * n}  # its gain is in the threshold
    assert nodes["block0_att_key_lif"].elementwise == {"add": 24 * n, "cmp": 24 * n}  # the two terms of the shift
    norm = nodes["block0_att_ln"].elementwise
    assert norm == {"mul": 2 * 24 * n, "add": 3 * 24 * n, "div": 3 * n, "sqrt": n}


def test_a_sum_of_inputs_counts_for_the_node_that_reads_it():
    simulator, nodes = simulated("spike-driven")
    with_sums = {name for name, op in zip(simulator.plan.names, simulator.plan.field("op"), strict=True)
                 if op == Op.ADD}  # fmt: skip
    assert with_sums
    for name in with_sums:
        assert "ADD" in nodes[name].operations


def test_counts_of_two_runs_add_up_to_those_of_one():
    simulator, whole = simulated("spike-driven")
    simulator.reset()
    parts = [simulator.run(TOKENS[:17]), simulator.run(TOKENS[17:])]
    assert node_counts(simulator.plan, merge(parts)) == whole


def test_the_energy_report_prices_the_same_counts():
    simulator, nodes = simulated("canonical")
    simulator.reset()
    found = counted("canonical", simulator.plan, simulator.run(TOKENS))
    for kind, attribute in (("acs", "synops"), ("graded", "graded"), ("macs", "macs"), ("dense", "dense")):
        assert getattr(found, kind) == sum(getattr(node, attribute) for node in nodes.values())
    assert found.elementwise == elementwise_totals(nodes)
