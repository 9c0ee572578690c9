"""The event-driven simulator: PyTorch's spikes and logits, exact counts, state that carries."""

import nir
import numpy as np
import pytest

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.counts.compare import compare
from spikegpt import UserError
from tests.conftest import VOCAB, lively_model, torch_run


@pytest.mark.parametrize(
    "variant, tau", [("spike-driven", 1.0), ("spike-driven", 2.0), ("canonical", 2.0), ("continuous", 2.0)]
)
def test_simulation_of_the_float_graph_is_pytorch(variant, tau):
    model = lively_model(variant, tau=tau)
    text = np.random.default_rng(1).integers(0, VOCAB, 1000)
    result = Simulator.from_nir(exporter.export(model)).run(text, record=True)
    agreement = compare(result.logits, result.spikes, *torch_run(model, text))
    assert agreement["max_logit_difference"] < 1e-4
    assert agreement["spike_mismatches"] == 0
    assert variant == "continuous" or sum(result.spike_counts.values()) > 1000


def test_counts_are_those_of_an_independent_dense_recount(spiking_model, tokens):
    """Every input of every matrix is what PyTorch's populations fired, or read; spikes times fan-out is summed."""
    _, spikes = torch_run(spiking_model, tokens)
    reads = {id(m): int(spikes[tap].sum()) for tap, m in spiking_model.spike_fed().items()}
    spiking_model.head.register_forward_hook(lambda m, i, o: reads.update({id(m): int(np.count_nonzero(i[0]))}))
    torch_run(spiking_model, tokens)
    matrices = {name.replace("blocks.", "block").replace(".", "_"): m for name, m in spiking_model.named_modules()}
    result = Simulator.from_nir(exporter.export(spiking_model)).run(tokens)
    assert len(result.matrices) == len(reads)
    for m in result.matrices:
        assert m.effective == reads[id(matrices[m.name])] * m.fan_out, m.name
        assert m.dense == len(tokens) * m.fan_in * m.fan_out
        assert m.spike_fed == (m.name != "head" or spiking_model.config.spiking_head)
    assert result.synops + result.macs == sum(m.effective for m in result.matrices)


def test_canonical_model_has_no_binary_synops(tokens):
    result = Simulator.from_nir(exporter.export(lively_model("canonical"))).run(tokens)
    assert result.synops == 0
    assert sum(result.spike_counts.values()) > 0


def test_spike_counts_are_the_sums_of_the_recorded_spikes(model, tokens):
    result = Simulator.from_nir(exporter.export(model)).run(tokens, record=True)
    assert result.spike_counts == {name: int(train.sum()) for name, train in result.spikes.items()}


@pytest.mark.parametrize("cut", [1, 60, 119])
def test_splitting_a_text_changes_nothing_and_reset_starts_over(model, tokens, cut):
    simulator = Simulator.from_nir(exporter.export(model))
    whole = simulator.run(tokens, record=True)
    simulator.reset()
    head, tail = simulator.run(tokens[:cut], record=True), simulator.run(tokens[cut:], record=True)
    assert np.array_equal(np.concatenate([head.logits, tail.logits]), whole.logits)
    for name, train in whole.spikes.items():
        assert np.array_equal(np.concatenate([head.spikes[name], tail.spikes[name]]), train)
    assert head.synops + tail.synops == whole.synops


@pytest.mark.parametrize("bad", [[-1], [0, VOCAB], [[0, 1]], []])
def test_bad_tokens_are_refused(spiking_model, bad):
    with pytest.raises(UserError, match="token"):
        Simulator.from_nir(exporter.export(spiking_model)).run(np.array(bad))


def test_cycle_without_a_delay_is_named():
    nodes = {
        "token": nir.Input({"input": np.array([4])}),
        "embedding": nir.Linear(np.ones((3, 4), np.float32)),
        "ring_a": nir.Scale(np.ones(3)),
        "ring_b": nir.Linear(np.eye(3, dtype=np.float32)),
        "out": nir.Output({"output": np.array([3])}),
    }
    edges = [
        ("token", "embedding"),
        ("embedding", "ring_a"),
        ("ring_a", "ring_b"),
        ("ring_b", "ring_a"),
        ("ring_b", "out"),
    ]
    with pytest.raises(UserError, match="ring_a"):
        Simulator.from_nir(nir.NIRGraph(nodes, edges))


def test_feedback_through_a_delay_accumulates():
    """y_t = e_t + y_{t-1}: the Delay hands out the past, so the loop runs."""
    nodes = {
        "token": nir.Input({"input": np.array([2])}),
        "embedding": nir.Linear(np.array([[1.0, 10.0]], np.float32)),
        "sum": nir.Scale(np.ones(1)),
        "before": nir.Delay(np.full(1, exporter.DT)),
        "identity": nir.Linear(np.ones((1, 1), np.float32)),
        "out": nir.Output({"output": np.array([1])}),
    }
    edges = [("token", "embedding"), ("embedding", "sum"), ("before", "sum"), ("sum", "before"), ("sum", "identity"),
             ("identity", "out")]  # fmt: skip
    result = Simulator.from_nir(nir.NIRGraph(nodes, edges)).run(np.array([0, 1, 0]))
    assert result.logits.flatten().tolist() == [1, 11, 12]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no"])
def test_a_file_that_is_no_state_is_refused(spiking_model, content, tmp_path):
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"state\.npz: not a "):
        Simulator.from_nir(exporter.export(spiking_model)).load_state(tmp_path / "state.npz")


def test_weights_that_overflow_are_reported_not_propagated(spiking_model, tokens):
    graph = exporter.export(spiking_model)
    graph.nodes["head"].weight[:] = 3e38
    with pytest.raises(UserError, match="not finite"):
        Simulator.from_nir(graph).run(tokens)


def test_a_result_shows_itself_in_a_line_of_figures(spiking_model, tokens):
    result = Simulator.from_nir(exporter.export(spiking_model)).run(tokens)
    shown = repr(result)
    assert len(shown) < 250
    assert f"120 tokens: {result.synops:,} binary SynOps + {result.macs:,} MACs" in shown
