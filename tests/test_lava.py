"""Lava: the same integers as the event simulator, and a supervisor that ends whatever hangs."""

import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from exporters import nir as exporter
from exporters.loihi.lava import supervisor
from exporters.loihi.lava.blocks.cut import cut
from hw_sim import Simulator
from hw_sim.counts.compare import compare
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan import Op
from hw_sim.plan.interpreter import Interpreter
from spikegpt import UserError
from tests.conftest import lively_model
from tests.leftovers import nothing_left
from tests.random_networks import TOKENS, networks

lava = pytest.mark.lava
LIMIT_S = 1200  # none of these runs comes near it, however busy the machine


@lava
@pytest.mark.parametrize("variant, tau", [("spike-driven", 1.0), ("spike-driven", 2.0), ("canonical", 2.0)])
def test_lava_gives_every_spike_and_logit_of_the_simulator(variant, tau, tokens):
    simulator = Simulator.from_nir(quantize(exporter.export(lively_model(variant, tau=tau))))
    text = tokens[:40]
    ours = simulator.run(text, record=True)
    with nothing_left():
        theirs = supervisor.run(simulator.plan, text)
    agreement = compare(ours.logits, ours.spikes, theirs.logits, theirs.spikes)
    assert agreement["spike_mismatches"] == 0
    assert agreement["equal_logits"]
    assert sum(ours.spike_counts.values()) > 100


@lava
@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_lavas_own_dense_and_lif_give_the_simulators_spikes(tau, tokens, tmp_path):
    """int8 matrix and LIF of the hidden population, as standard processes; the Dense delays by one step."""
    model = lively_model("spike-driven", tau=tau)
    model.blocks[1].ffn.key.weight.data *= 4 * tau
    simulator = Simulator.from_nir(quantize(exporter.export(model)))
    plan, ours = simulator.plan, simulator.run(tokens, record=True)
    lif = next(i for i in plan.rows(Op.LIF) if plan.names[i] == "block1_ffn_value_lif")
    matrix = plan.names.index("block1_ffn_key")
    n_in, n, w, c = (int(plan.field(f)[i]) for f, i in (("n_in", matrix), ("n_out", lif), ("w", matrix), ("c", lif)))
    decay, threshold = plan.constants[c : c + n], plan.constants[c + n : c + 2 * n]
    weight = plan.weights[w : w + n_in * n].reshape(n_in, n).T
    spikes = ours.spikes["block1_ffn_key_lif"]
    np.savez(tmp_path / "chain.npz", spikes=spikes, weight=weight, decay=decay[0], threshold=threshold.astype(np.int32))
    supervisor.supervise([sys.executable, "-m", "tests.lava_chain", str(tmp_path)], tmp_path, LIMIT_S)
    theirs = np.load(tmp_path / "spikes.npy").T[1 : len(tokens) + 1]
    assert theirs.sum() > 100
    assert np.array_equal(theirs, ours.spikes["block1_ffn_value_lif"])


@lava
def test_an_exception_inside_a_process_ends_the_run_with_its_text(tokens):
    plan = Simulator.from_nir(quantize(exporter.export(lively_model("spike-driven")))).plan
    row = plan.names.index("block0_ffn_value_scale")
    c, n = plan.field("c")[row], plan.field("n_out")[row]
    plan.constants[c : c + n] = np.iinfo(np.int32).max
    plan.field("shift")[row] = 0  # the residual stream no longer fits 32 bits
    started = time.monotonic()
    with nothing_left(), pytest.raises(UserError, match="does not fit 32 bits"):
        supervisor.run(plan, tokens[:8], timeout_s=LIMIT_S)
    assert time.monotonic() - started < LIMIT_S  # the error ended it, not the limit


def test_a_child_that_hangs_is_stopped_at_the_limit_with_its_group(tmp_path):
    script = "import os, time; os.fork(); print('waiting for a spike', flush=True); time.sleep(6000)"
    started = time.monotonic()
    limit = 5 * supervisor.patience()  # by then it has printed
    with pytest.raises(UserError, match=r"within \d+ s.*waiting for a spike"):
        supervisor.supervise([sys.executable, "-c", script], tmp_path, limit)
    assert time.monotonic() - started < 6000


def test_a_child_that_dies_is_reported_with_its_last_words(tmp_path):
    with pytest.raises(UserError, match=r"code 3: out of spikes"):
        supervisor.supervise([sys.executable, "-c", "print('out of spikes'); raise SystemExit(3)"], tmp_path, LIMIT_S)


def test_lava_refuses_a_float_plan(spiking_model, tokens):
    with pytest.raises(UserError, match="integer"):
        supervisor.run(Simulator.from_nir(exporter.export(spiking_model)).plan, tokens)


@pytest.mark.parametrize("variant", ["spike-driven", "canonical"])
def test_stages_hand_on_all_that_the_next_one_needs(variant, tokens):
    """Separate interpreters that share nothing but the carried signals give the whole plan's result."""
    plan = Simulator.from_nir(quantize(exporter.export(lively_model(variant)))).plan
    stages = cut(plan)
    assert [s.label for s in stages] == ["embedding", "block0", "block1", "head"]
    assert sorted(np.concatenate([s.rows for s in stages])) == list(range(len(plan.table)))
    assert all(len(s.carry) == 24 for s in stages[:-1])  # the residual stream and nothing else
    whole, parts = Interpreter(plan), [Interpreter(plan, s.rows) for s in stages]
    for token in tokens[:20]:
        for k, (stage, part) in enumerate(zip(stages, parts, strict=True)):
            if k:
                part.signals[stage.receive] = parts[k - 1].signals[stages[k - 1].carry]
            output = part.step(int(token))
        assert np.array_equal(output, whole.step(int(token)))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(networks(integer=True, loops=True))
def test_stages_of_any_network_are_the_whole_of_it(graph):
    plan = build(graph)
    stages = cut(plan)
    whole, parts = Interpreter(plan), [Interpreter(plan, stage.rows) for stage in stages]
    for token in range(TOKENS):
        expected = whole.step(token)
        for k, (stage, part) in enumerate(zip(stages, parts, strict=True)):
            if k:
                part.signals[stage.receive] = parts[k - 1].signals[stages[k - 1].carry]
            part.step(token)
        assert [part.output.tolist() for part in parts if part.output is not None] == [expected.tolist()]
