"""The command line on texts that are not plain bytes: characters, tokenizers of others, and models without one."""

import json

import pytest

import spikegpt
from spikegpt import Config, SpikeGPT

TEXT = "Ἐν ἀρχῇ ἐποίησεν ὁ θεὸς τὸν οὐρανὸν καὶ τὴν γῆν.\n" * 60


@pytest.fixture
def greek(tmp_path):
    path = tmp_path / "greek.txt"
    path.write_text(TEXT)
    return path


def test_tokenize_train_eval_and_generate_in_characters(run, greek, tmp_path):
    corpus, out = tmp_path / "corpus", tmp_path / "run"
    assert run("tokenize", greek, "--tokenizer", "characters", "--out", corpus)[0] == 0
    settings = ("--layers", 1, "--width", 16, "--ctx", 16, "--steps", 2, "--batch", 2, "--device", "cpu")
    code, printed, _ = run("train", "--data", corpus, "--out", out, "--synops", 200, *settings)
    assert code == 0
    assert all(f"bits per {unit}" in printed for unit in ("byte", "character", "token"))
    checkpoint = out / "model.pt"
    record = json.loads((out / "run.json").read_text())
    assert record["config"]["vocab_size"] == len(set(TEXT))
    assert record["provenance"]["train_density"] == pytest.approx(200 / (13 * 16 * 16 + 16 * len(set(TEXT))))
    score = json.loads(run("eval", checkpoint, "--data", greek, "--json")[1])
    assert score["bits_per_character"] == score["bits_per_token"] > score["bits_per_byte"]
    code, printed, _ = run("generate", checkpoint, "--prompt", "ἀρχ", "--tokens", 5)
    assert code == 0
    assert printed.startswith("ἀρχ")
    assert len(printed) == len("ἀρχ") + 5 + 1
    code, _, err = run("generate", checkpoint, "--prompt", "z")
    assert code == 2
    assert "U+007A" in err


def test_generation_ends_behind_the_stop_text(run, tmp_path):
    model = SpikeGPT(Config(256, 1, 16))
    model.head.weight.data.zero_()
    spikegpt.save(model, tmp_path / "m.pt")
    whole = run("generate", tmp_path / "m.pt", "--prompt", "a", "--tokens", 3, "--temperature", 0)[1]
    assert whole == "a\0\0\0\n"
    assert run("generate", tmp_path / "m.pt", "--prompt", "a", "--temperature", 0, "--stop", "a\0")[1] == "a\0\n"


def test_a_model_whose_tokenizer_nobody_named_is_refused(run, greek, tmp_path):
    spikegpt.save(SpikeGPT(Config(77, 1, 16, "canonical")), tmp_path / "m.pt")
    code, _, err = run("eval", tmp_path / "m.pt", "--data", greek)
    assert code == 2
    assert "--tokenizer" in err
    vocabulary = tmp_path / "vocab.json"
    vocabulary.write_text(json.dumps(dict(enumerate(sorted(set(TEXT))))))
    code, printed, _ = run("eval", tmp_path / "m.pt", "--data", greek, "--tokenizer", vocabulary)
    assert code == 0
    assert "bits per byte" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ("--density", 0.05, "--synops", 10),
        ("--density", 0.05, "--variant", "canonical"),
        ("--device", "nowhere"),
        ("--tokenizer", "missing.json"),
        ("--batch", 3, "--accumulate", 2),
    ],
)
def test_settings_that_contradict_each_other_leave_nothing(run, greek, tmp_path, arguments):
    code, _, err = run("train", "--data", greek, "--out", tmp_path / "out", "--steps", 1, "--ctx", 16, *arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
