"""The model: both forms agree, published weights give the published logits, sizes are the published ones."""

import numpy as np
import pytest
import torch

import spikegpt
from spikegpt import Config, SpikeGPT, UserError
from spikegpt.config import preset
from tests.conftest import OLD, VOCAB, lively_model, torch_run


def test_recurrent_form_gives_the_logits_and_spikes_of_the_parallel_form(model, tokens):
    logits, spikes = torch_run(model, tokens)
    state, steps, taps = None, [], {name: [] for name in spikes}
    with torch.no_grad():
        for token in tokens:
            seen: dict = {}
            step_logits, state = model.run(torch.tensor([[token]]), state, seen)
            steps.append(step_logits[0, 0].numpy())
            for name in taps:
                taps[name].append(seen[name][0, 0].numpy())
    assert np.abs(np.array(steps) - logits).max() < 1e-4
    for name, train in taps.items():
        assert np.array_equal(np.array(train), spikes[name]), name


def test_step_is_one_token_of_forward(model):
    batch = torch.tensor([[1, 2], [3, 4]])
    with torch.no_grad():
        first, state = model.step(batch[:, 0])
        second, _ = model.step(batch[:, 1], state)
        expected = model(batch)
    torch.testing.assert_close(torch.stack([first, second], 1), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("cut", [1, 50, 119])
def test_splitting_a_text_changes_nothing(model, tokens, cut):
    whole, _ = torch_run(model, tokens)
    text = torch.from_numpy(tokens)[None]
    with torch.no_grad():
        head, state = model.run(text[:, :cut])
        tail, _ = model.run(text[:, cut:], state)
    torch.testing.assert_close(torch.cat([head, tail], 1)[0].numpy(), whole, atol=1e-4, rtol=0)


def test_batching_changes_nothing(model, tokens):
    one, _ = torch_run(model, tokens)
    with torch.no_grad():
        both = model(torch.from_numpy(np.stack([tokens, tokens[::-1]])))
    torch.testing.assert_close(both[0].numpy(), one, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "name, count", [("45m", 46_553_088), ("125m", 138_292_224), ("216m", 215_399_424), ("260m", 261_456_384)]
)
def test_presets_have_the_published_sizes(name, count):
    config = preset(name, "canonical")
    with torch.device("meta"):
        model = SpikeGPT(config)
    assert sum(p.numel() for p in model.parameters()) == config.n_parameters == count


def test_a_single_layer_of_width_one_runs():
    model = SpikeGPT(Config(3, 1, 1, "spike-driven")).eval()
    assert model(torch.tensor([[0, 1, 2]])).shape == (1, 3, 3)


@pytest.mark.parametrize("bad", [-1, VOCAB])
def test_token_out_of_range_is_named(model, bad):
    with pytest.raises(UserError, match=f"token {bad} is out of range"):
        model(torch.tensor([[0, bad]]))


@pytest.mark.parametrize(
    "values", [{"variant": "other"}, {"n_layer": 0}, {"n_embd": 1 << 20}, {"lif_tau": 0.5}, {"lif_threshold": -1.0}]
)
def test_configurations_out_of_range_are_refused(values):
    with pytest.raises(UserError):
        Config(**values)


@pytest.mark.parametrize("form, reals", [("spike-driven", []), (OLD, ["head"])])
def test_matrices_of_a_spike_driven_model_read_binary_numbers(form, reals, tokens, monkeypatch):
    model, read = lively_model(form), []
    spike_linear = spikegpt.model.spike_linear
    monkeypatch.setattr(spikegpt.model, "spike_linear", lambda x, w: (read.append((x, w)), spike_linear(x, w))[1])
    head: list = []
    model.head.register_forward_hook(lambda m, i, o: head.append(i[0]))
    torch_run(model, tokens)
    matrices = [
        m.weight for m in model.modules() if isinstance(m, torch.nn.Linear) and (m is not model.head or not reals)
    ]
    assert sum(w.numel() for _, w in read) == sum(w.numel() for w in matrices)
    binary = torch.tensor([0.0, 1.0])
    assert all(torch.isin(x, binary).all() for x, _ in read)
    assert torch.isin(head[0], binary).all() == (not reals)
