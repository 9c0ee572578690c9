"""Gradual magnitude pruning: its schedule, exact zeros, counts on what is left, runs that resume."""

import numpy as np
import pytest
import torch

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.plan import Op
from spikegpt import UserError
from spikegpt.config import preset
from spikegpt.corpus import from_text
from spikegpt.evaluation import evaluate, fan_out_shares, not_zero
from spikegpt.pruning import BEGIN, END, largest, share_at
from spikegpt.training import TrainConfig, train
from spikegpt.training_run import ROUND
from tests.conftest import lively_model

TEXT = bytes(np.random.default_rng(0).integers(97, 123, 20_000, dtype=np.uint8))


def test_the_share_of_zeros_rises_along_a_cubic_and_stays():
    assert share_at(0, 100, 0.5) == share_at(int(100 * BEGIN), 100, 0.5) == 0
    middle = share_at(int(100 * (BEGIN + END) / 2), 100, 0.5)
    assert middle == pytest.approx(0.5 * (1 - 0.5**3), abs=0.01)
    assert share_at(int(100 * END), 100, 0.5) == share_at(100, 100, 0.5) == 0.5


def test_the_largest_weights_are_kept_and_of_equal_ones_the_first():
    weight = torch.tensor([[3.0, -1.0, 1.0], [0.0, -2.0, 1.0]])
    assert largest(weight, 0.5).tolist() == [[True, True, False], [False, True, False]]


def test_a_pruned_run_leaves_exact_zeros_and_resumes_to_the_same_weights(tmp_path):
    corpus, config = from_text("noise", [TEXT], None), preset("tiny", n_layer=1, n_embd=16, ctx_len=16)
    cfg = TrainConfig(steps=3 * ROUND, batch=2, ctx=16, warmup=5, eval_every=ROUND, eval_tokens=400, sparsity=0.5)
    model, _ = train(config, corpus, cfg, tmp_path / "whole")
    for tap, matrix in model.spike_fed().items():
        assert (matrix.weight == 0).float().mean() == pytest.approx(0.5, abs=0.01), tap
    assert (model.emb.weight != 0).all()

    def stop(row):
        if row["step"] >= 50:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(config, corpus, cfg, tmp_path / "parts", report=stop)
    resumed, _ = train(config, corpus, cfg, tmp_path / "parts", resume=True)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_training_and_simulator_count_accumulates_on_weights_that_are_not_zero():
    model = lively_model("spike-driven")
    for matrix in model.spike_fed().values():
        matrix.weight.data *= largest(matrix.weight, 0.4)
    tokens = np.random.default_rng(0).integers(0, 50, 300)
    score = evaluate(model, tokens, streams=1)
    simulator = Simulator.from_nir(exporter.export(model))
    result = simulator.run(tokens[:-1])
    synapses = model.config.spike_synapses
    assert result.macs == 0
    assert result.synops == pytest.approx(score.density * synapses * 299, rel=1e-6)
    assert result.synops < 0.55 * sum(m.rows_read for m in result.matrices)
    assert all(simulator.plan.row(i).shift for i in simulator.plan.rows(Op.EVENTS))
    shares = fan_out_shares(model, not_zero(model))
    assert sum(float(share.sum()) for share in shares.values()) == pytest.approx(0.4, abs=0.01)


def test_a_few_zeros_do_not_make_a_matrix_sparse():
    """Rounding to int8 makes some: the counts of a model that nobody pruned are spikes times fan-out."""
    model = lively_model("spike-driven")
    model.blocks[0].att.key.weight.data[0, :3] = 0
    result = Simulator.from_nir(exporter.export(model)).run(np.arange(40))
    assert result.synops == sum(m.active_inputs * m.fan_out for m in result.matrices)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(UserError, match="sparsity"):
        TrainConfig(sparsity=share)
