"""The float32 baseline: its cache changes nothing, its size is the counted one, its context is a limit that is told."""

import numpy as np
import pytest
import torch

import spikegpt
from exporters import nir as exporter
from spikegpt import Config, UserError
from spikegpt.evaluation import evaluate, spans
from spikegpt.transformer import Transformer


@pytest.fixture
def gpt() -> Transformer:
    torch.manual_seed(0)
    return Transformer(Config(50, 2, 128, "transformer", ctx_len=32)).eval()


def test_cached_decoding_gives_the_logits_of_the_parallel_form(gpt):
    text = torch.randint(0, 50, (2, 32))
    with torch.no_grad():
        whole = gpt(text)
        head, state = gpt.run(text[:, :10])
        middle, state = gpt.run(text[:, 10:20], state)
        steps = [head, middle]
        for t in range(20, 32):
            logits, state = gpt.step(text[:, t], state)
            steps.append(logits[:, None])
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=0)


def test_it_does_not_look_ahead(gpt):
    text = torch.randint(0, 50, (1, 20))
    changed = text.clone()
    changed[0, 12] = (text[0, 12] + 1) % 50
    with torch.no_grad():
        difference = (gpt(text) - gpt(changed)).abs().amax(-1)[0]
    assert difference[:12].max() == 0
    assert difference[12] > 0


def test_number_of_parameters_is_the_counted_one(gpt):
    assert sum(p.numel() for p in gpt.parameters()) == gpt.config.n_parameters


def test_context_is_a_limit(gpt):
    with pytest.raises(UserError, match="33 tokens are more than this Transformer's context of 32"):
        gpt(torch.zeros(1, 33, dtype=torch.int64))


def test_evaluation_scores_every_token_once_with_half_a_context_before_it(gpt):
    scored = []
    for low, start, high in spans(gpt, 100):
        assert high - low <= 32
        assert start == 0 or start - low >= 16
        scored += range(start, high)
    assert scored == list(range(100))
    text = np.random.default_rng(0).integers(0, 50, 404)
    score = evaluate(gpt, text, streams=4)
    assert score.predicted == 400
    assert score.bits_per_token == pytest.approx(np.log2(50), abs=0.1)


def test_round_trip_and_refusal_to_lower(gpt, tmp_path):
    spikegpt.save(gpt, tmp_path / "g.pt")
    again = spikegpt.load(tmp_path / "g.pt")
    text = torch.randint(0, 50, (1, 9))
    with torch.no_grad():
        assert torch.equal(again(text), gpt(text))
    with pytest.raises(UserError, match="cannot be lowered"):
        exporter.export(again)
