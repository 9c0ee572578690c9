"""Training: it learns, repeats itself, resumes as if never stopped, and keeps an activity budget."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikegpt import Config, UserError, training_run
from spikegpt import checkpoint as checkpoint_module
from spikegpt.corpus import Corpus, load_corpus
from spikegpt.distributed import Process
from spikegpt.evaluation import evaluate
from spikegpt.model import build
from spikegpt.objective import Objective
from spikegpt.training import TrainConfig, inherit, train
from spikegpt.training_run import ROUND, window
from tests.conftest import lively_model


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    words = b"the quick brown fox jumps over the lazy dog; " * 400
    return Corpus("fox", "0", np.frombuffer(words, np.uint8))


def small(variant: str = "spike-driven") -> Config:
    return Config(256, 1, 32, variant, lif_tau=1.0 if variant == "spike-driven" else 2.0)


@pytest.mark.parametrize("variant", ["spike-driven", "canonical", "continuous"])
def test_every_variant_learns(variant, corpus, tmp_path):
    cfg = TrainConfig(steps=60, batch=4, ctx=32, lr=1e-2, warmup=5, eval_tokens=600)
    _, score = train(small(variant), corpus, cfg, tmp_path)
    assert score.bits_per_byte < 4  # from 8 before the first step


def test_resumed_run_has_the_losses_of_an_uninterrupted_one(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(training_run, "LOG_EVERY", ROUND // 2)  # no row averages over the cut
    cfg = TrainConfig(steps=3 * ROUND, batch=2, ctx=16, warmup=5, eval_every=ROUND, eval_tokens=400)
    whole: list[dict] = []
    train(small(), corpus, cfg, tmp_path / "whole", report=whole.append)

    class PowerCut(Exception):
        pass

    saves = []

    def save_then_die(*args, **kwargs):
        original(*args, **kwargs)
        saves.append(args[1])
        if len(saves) == 2:
            raise PowerCut

    original = checkpoint_module.save
    monkeypatch.setattr(checkpoint_module, "save", save_then_die)
    with pytest.raises(PowerCut):
        train(small(), corpus, cfg, tmp_path / "cut")
    monkeypatch.setattr(checkpoint_module, "save", original)
    resumed: list[dict] = []
    train(small(), corpus, cfg, tmp_path / "cut", resume=True, report=resumed.append)
    rows = [{k: v for k, v in row.items() if k != "tokens_per_s"} for row in whole]
    assert [{k: v for k, v in row.items() if k != "tokens_per_s"} for row in resumed] == rows[-len(resumed) :]
    assert 1 < len(resumed) < len(whole)
    a, b = (checkpoint_module.read(tmp_path / run / "model.pt")["model"] for run in ("whole", "cut"))
    assert all((a[name] == b[name]).all() for name in a)


def test_settings_that_differ_are_not_resumed(corpus, tmp_path):
    cfg = TrainConfig(steps=2 * ROUND, batch=2, ctx=16, eval_every=ROUND, eval_tokens=400)
    train(small(), corpus, cfg, tmp_path)
    other = TrainConfig(steps=2 * ROUND, batch=2, ctx=16, eval_every=ROUND, eval_tokens=400, seed=1)
    with pytest.raises(UserError, match="other settings"):
        train(small(), corpus, other, tmp_path, resume=True)
    with pytest.raises(UserError, match="--resume"):
        train(small(), corpus, cfg, tmp_path)


def test_density_budget_lowers_activity(corpus, tmp_path):
    common = {"steps": 120, "batch": 4, "ctx": 32, "lr": 1e-2, "warmup": 5, "eval_tokens": 600}
    _, free = train(small(), corpus, TrainConfig(**common), tmp_path / "free")
    _, held = train(small(), corpus, TrainConfig(**common, density=0.03), tmp_path / "held")
    assert held.density < 0.6 * free.density


def test_a_taught_model_comes_closer_to_its_teacher_than_one_that_saw_the_same_text(corpus, tmp_path):
    cfg = TrainConfig(steps=60, batch=4, ctx=32, lr=1e-2, warmup=5, eval_tokens=600, teacher_share=1.0)
    teacher, _ = train(small("continuous"), corpus, replace(cfg, steps=20, seed=1), tmp_path / "teacher")
    text = torch.from_numpy(corpus.split("valid")[:300].astype(np.int64))[None]

    def distance(model):
        with torch.no_grad():
            ours, theirs = (m(text).flatten(0, 1).log_softmax(-1) for m in (model, teacher))
        return float(torch.nn.functional.kl_div(ours, theirs, log_target=True, reduction="batchmean"))

    alone, _ = train(small(), corpus, cfg, tmp_path / "alone")
    path = tmp_path / "teacher" / "model.pt"
    taught, _ = train(small(), corpus, cfg, tmp_path / "taught", teacher=path)
    assert distance(taught) < 0.5 * distance(alone)
    with pytest.raises(UserError, match="teacher of 256 tokens for a model of 300"):
        train(Config(300, 1, 32), corpus, cfg, tmp_path / "other", teacher=path)


def test_a_model_of_its_teachers_shape_starts_from_its_weights():
    teacher, spiking, wider = (build(c) for c in (small("continuous"), small(), replace(small(), n_embd=64)))
    before = wider.blocks[0].att.value.weight.clone()
    inherit(spiking, teacher)
    inherit(wider, teacher)
    assert all((spiking.state_dict()[name] == tensor).all() for name, tensor in teacher.state_dict().items())
    assert (wider.blocks[0].att.value.weight == before).all()


def test_a_text_whose_validation_part_is_too_short_is_refused_before_training(tmp_path):
    text = Corpus("short", "0", np.zeros(300, np.uint8))
    with pytest.raises(UserError, match="15 validation tokens"):
        train(small(), text, TrainConfig(steps=2, ctx=16), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_windows_depend_on_seed_and_step_alone_and_continue_each_other():
    text = np.arange(100_000) % 251
    cfg = TrainConfig(batch=3, ctx=16)
    first, second = window(text, cfg, 0), window(text, cfg, 1)
    assert (first[:, -1] == second[:, 0]).all()
    assert (window(text, cfg, 1) == second).all()
    assert (window(text, TrainConfig(batch=3, ctx=16, seed=1), 0) != first).any()


def test_embedded_text_is_the_king_james_bible_in_three_parts():
    corpus = load_corpus()
    assert corpus.sha256 == "6f74f5589333c56c263963e6347dba662bae2d96861302e690aaae0b4a855eda"
    parts = [corpus.split(p) for p in ("train", "valid", "test")]
    assert [len(p) for p in parts] == [3868415, 214912, 214912]
    assert bytes(np.concatenate(parts)[:11].tobytes()).strip() == b"Genesis 1"


@pytest.mark.parametrize("content", [None, b""])
def test_unreadable_or_empty_text_is_refused(content, tmp_path):
    path = tmp_path / "t.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"t\.txt"):
        load_corpus(str(path))


def test_a_softer_teacher_gives_gradients_of_the_same_size():
    torch.manual_seed(0)
    models = [build(small()) for _ in range(2)]
    for model in models:
        torch.nn.init.normal_(model.head.weight, std=0.02)
    student, teacher = models
    batch = torch.arange(40).view(2, 20)

    def gradient(temperature: float) -> torch.Tensor:
        student.zero_grad()
        score = Objective(student, Process(torch.device("cpu")), None, 0.0, teacher, 1.0, temperature)(batch, None)
        score.loss.backward()
        return student.head.weight.grad.clone()

    hard, soft = gradient(1.0), gradient(4.0)
    assert not torch.equal(hard, soft)
    assert float(soft.norm()) == pytest.approx(float(hard.norm()), rel=0.2)  # 16 times smaller without the factor


def test_dropout_is_of_training_alone_and_repeats_itself(corpus, tmp_path):
    cfg = TrainConfig(steps=6, batch=2, ctx=16, eval_tokens=400, dropout=0.3)
    models = [train(small(), corpus, cfg, tmp_path / name)[0].state_dict() for name in "ab"]
    without, _ = train(small(), corpus, replace(cfg, dropout=None), tmp_path / "c")
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert not torch.equal(models[0]["head.weight"], without.head.weight)
    trained = build(small()).train()
    trained.blocks[0].dropout.p = 0.5
    torch.nn.init.normal_(trained.blocks[0].att.output.weight)
    torch.nn.init.constant_(trained.blocks[0].att.gain, 50)
    scores = [evaluate(trained, corpus.tokens[:400]) for _ in range(2)]
    assert scores[0] == scores[1]
    assert trained.training


@pytest.mark.parametrize(
    "setting",
    [
        *({"dropout": 1.0}, {"teacher_temperature": 0.0}, {"teacher_share": 1.5}, {"warmup": -1}, {"clip": -1.0}),
        *({"clip": 0.0}, {"final_lr": -1.0}, {"final_lr": 0.1}, {"density_weight": float("inf")}, {"steps": 0}),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name_alone(setting):
    (name,) = setting
    with pytest.raises(UserError, match=f"^{name} = "):
        TrainConfig(**setting)


def test_a_spiking_head_is_held_to_the_budget_by_itself():
    """The head is a tenth of the synapses: its rate alone would hardly move the density of the whole."""
    model = lively_model("spike-driven", n_layer=2, n_embd=24)
    batch = torch.randint(0, model.config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(0))
    taps: dict = {}
    here = Process(torch.device("cpu"))
    with torch.no_grad():
        model.ln_out.bias.add_(0.6)
        free = Objective(model, here)(batch, None)
        model.run(batch[:, :-1], None, taps)
        rate, density = float(taps["head_lif"].mean()), float(free.density)
        assert rate > density + 0.01
        between = (rate + density) / 2
        held = Objective(model, here, between, 3.0)(batch, None)
        assert float(held.loss - free.loss) == pytest.approx(3.0 * (rate - between), rel=1e-4)
        assert float(Objective(model, here, rate + 0.01, 3.0)(batch, None).loss) == pytest.approx(float(free.loss))


def test_training_leaves_the_arithmetic_of_the_process_as_it_was(corpus, tmp_path):
    """Denormals are zeros while it runs; a simulation afterwards gives the bits of one in a fresh process."""
    train(small(), corpus, TrainConfig(steps=1, batch=2, ctx=8, eval_tokens=100), tmp_path)
    assert float(torch.tensor(1e-39) * 1) > 0
    assert np.float32(1e-39) * np.float32(1) > 0
