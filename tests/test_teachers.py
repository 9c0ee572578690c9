"""Where a training run starts from: teachers and starts in any form, said by the user where the file does not say."""

import hashlib

import numpy as np
import pytest
import torch

import spikegpt
from spikegpt import Config, UserError
from spikegpt.corpus import Corpus
from spikegpt.errors import Notice
from spikegpt.model import build
from spikegpt.train_config import TrainConfig
from spikegpt.training import named, read_start, read_teacher, train
from tests.conftest import lively_model


@pytest.fixture
def flat(tmp_path):
    """The weights of a continuous model without its configuration, as RWKV-4's are, and the model."""
    model = lively_model("continuous")
    torch.save(model.state_dict(), tmp_path / "flat.pth")
    return tmp_path / "flat.pth", model


def test_a_teacher_without_a_configuration_is_what_the_user_says(flat):
    path, model = flat
    tokens = torch.arange(20)[None]
    told = read_teacher(path, model.config, "continuous", model.config.binary_embedding)
    assert torch.equal(told(tokens), model(tokens))
    with pytest.warns(Notice, match="the teacher was taken as canonical.*--teacher-variant"):
        assert not torch.equal(read_teacher(path, model.config, None, None)(tokens), model(tokens))


def test_a_teacher_that_says_itself_what_it_is_takes_no_other_word(tmp_path):
    model = lively_model("continuous")
    spikegpt.save(model, tmp_path / "own.pt")
    with pytest.raises(UserError, match="leave --teacher-variant"):
        read_teacher(tmp_path / "own.pt", model.config, "canonical", None)


def test_what_a_teacher_was_taken_for_is_a_setting_of_the_run(tmp_path):
    teacher = build(Config(256, 1, 16, "continuous"))
    torch.save(teacher.state_dict(), tmp_path / "flat.pth")
    corpus = Corpus("text", "0", np.arange(4000, dtype=np.uint8))
    cfg = TrainConfig(steps=1, batch=2, ctx=8, eval_tokens=100)
    model = Config(256, 1, 16)
    options = {"teacher": tmp_path / "flat.pth", "teacher_variant": "continuous", "teacher_binary": False}
    train(model, corpus, cfg, tmp_path / "run", **options)
    record = spikegpt.checkpoint.read(tmp_path / "run" / "model.pt")
    assert record["provenance"]["teacher"].endswith(" as continuous, raw embedding")
    with pytest.raises(UserError, match="other settings: teacher"):
        train(model, corpus, cfg, tmp_path / "run", **{**options, "teacher_binary": True}, resume=True)


def test_python_hands_on_what_a_teacher_is_taken_for_and_refuses_it_without_one(tmp_path):
    torch.save(build(Config(256, 1, 16, "continuous")).state_dict(), tmp_path / "flat.pth")
    corpus = Corpus("text", "0", np.arange(4000, dtype=np.uint8))
    told = {"teacher_variant": "continuous", "teacher_binary": False}
    small = {"shape": {"n_layer": 1, "n_embd": 16}, "steps": 1, "batch": 2, "ctx": 8, "eval_tokens": 100}
    model, _ = spikegpt.train(corpus, tmp_path / "run", teacher=tmp_path / "flat.pth", **told, **small)
    assert model.provenance["teacher"].endswith(" as continuous, raw embedding")
    with pytest.raises(UserError, match="no teacher is named"):
        spikegpt.train(corpus, tmp_path / "other", **told, **small)
    with pytest.raises(UserError, match="no binary synaptic operations to budget"):
        spikegpt.train(corpus, tmp_path / "other", variant="canonical", density=0.1, **small)
    assert not (tmp_path / "other").exists()


def test_a_start_of_our_own_variant_may_be_a_state_dict(tmp_path):
    model = lively_model("spike-driven")
    torch.save(model.state_dict(), tmp_path / "flat.pth")
    start = read_start(tmp_path / "flat.pth", model.config)
    assert all(torch.equal(start.state_dict()[name], value) for name, value in model.state_dict().items())


def test_a_teacher_in_a_folder_is_named_by_the_file_of_weights_in_it(tmp_path):
    spikegpt.save(lively_model("continuous"), tmp_path / "model.pt")
    digest = hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    assert named(tmp_path) == f"model.pt sha256 {digest}"
