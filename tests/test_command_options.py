"""Options that fit each other: token ids in and out, JSON everywhere, folders for files, and a model's own text."""

import json

import numpy as np
import pytest

import spikegpt
from spikegpt import Config, SpikeGPT, files
from spikegpt.corpus import load_corpus

TEXT = b"In the beginning God created the heaven and the earth. " * 40


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_bytes(TEXT)
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), tmp_path / "m.pt")
    return tmp_path


def test_token_ids_go_out_and_come_in_again(place, run):
    assert run("tokenize", "text.txt", "--out", "ids.npy")[0] == 0
    assert bytes(np.load("ids.npy").astype(np.uint8)) == TEXT
    by_text, by_ids = (json.loads(run("eval", "m.pt", "--data", d, "--json")[1]) for d in ("text.txt", "ids.npy"))
    assert by_text["bits_per_byte"] == by_ids["bits_per_byte"]
    assert load_corpus("ids.npy").sha256 == load_corpus("text.txt").sha256  # a byte a token
    np.save("plain.npy", np.load("ids.npy").astype(np.int64))  # as other tools write them
    assert load_corpus("plain.npy").tokens.tobytes() == TEXT


def test_ids_of_a_continuation_are_those_that_its_text_is_of(place, run):
    arguments = ("generate", "m.pt", "--prompt", "God", "--tokens", 12)
    shown = json.loads(run(*arguments, "--out", "ids.npy", "--json")[1])
    assert np.load("ids.npy").tolist() == shown["tokens"]
    assert len(shown["tokens"]) == 12
    assert run(*arguments)[1] == shown["text"] + "\n" or "\ufffd" in shown["text"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((3, 4), np.uint8), r"shape \(3, 4\)"),
        (np.arange(9.0), "float64"),
        (np.array([1, -1]), "from 0"),
        (np.zeros(0, np.uint8), r"shape \(0,\)"),
    ],
)
def test_an_array_that_holds_no_token_ids_is_refused(values, said, place):
    np.save("x.npy", values)
    with pytest.raises(spikegpt.UserError, match=said):
        load_corpus("x.npy")


def test_an_array_of_ours_that_was_changed_is_kept(place, run):
    run("tokenize", "text.txt", "--out", "ids.npy")
    assert files.signature(place / "ids.npy")
    assert run("tokenize", "text.txt", "--out", "ids.npy")[0] == 0
    np.save("ids.npy", np.arange(5))
    code, _, err = run("tokenize", "text.txt", "--out", "ids.npy")
    assert code == 2
    assert "not a file that this tool wrote" in err


@pytest.mark.parametrize(
    ("neuron", "said"),
    [
        ("block0_at_key_lif:3", "did you mean block0_att_key_lif?"),
        ("x:3", "block0_att_value_lif, block0_ffn_key_lif, block0_ffn_receptance_lif, block0_ffn_value_lif"),
        ("block0_att_key_lif:16", "there are neurons 0 to 15"),
    ],
)
def test_a_neuron_that_there_is_not_is_answered_with_those_that_there_are(neuron, said, place, run):
    code, out, err = run("simulate", "m.pt", "--data", "text.txt", "--trace", "t.npz", "--membrane", neuron)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err


def test_json_is_all_that_stands_on_standard_output(place, run):
    quick = ("--layers", 1, "--width", 16, "--ctx", 16, "--steps", 2, "--batch", 2, "--data", "text.txt")
    for command in (
        ("tokenize", "text.txt", "--out", "cut"),
        ("train", *quick, "--out", "run"),
        ("eval", "run", "--data", "text.txt"),
        ("generate", "run", "--tokens", 3),
        ("export", "m.pt", "--target", "nir", "--out", "nir"),
        ("export", "m.pt", "--target", "loihi", "--out", "loihi", "--data", "text.txt"),
        ("simulate", "nir", "--data", "text.txt"),
        ("info", "run"),
        ("info", "loihi"),
        ("info", "--preset", "45m"),
        ("check", "m.pt", "--target", "loihi", "--data", "text.txt"),
        ("count", "m.pt", "--data", "text.txt", "--tokens", 20),
        ("raster", "run", "--out", "r.svg"),
        ("plot", "run", "--out", "c.svg"),
        ("export", "m.pt", "--target", "sanafe", "--out", "sanafe", "--data", "text.txt", "--tokens", 20),
        ("export", "--target", "list"),
        ("energy-report", "m.pt", "--data", "text.txt", "--tokens", 20, "--out", "report"),
        ("compare", "report"),
        ("profiles",),
        ("models",),
    ):
        code, out, err = run(*command, "--json")
        assert (code, err.count("\n") < 2) == (0, True), (command, err)
        assert json.loads(out), command


def test_a_model_is_scored_on_the_part_of_its_own_text_that_it_never_saw(place, run):
    own = load_corpus("text.txt")
    provenance = {"text": "text.txt", "text_sha256": own.sha256}
    spikegpt.save(spikegpt.load("m.pt"), "own.pt", provenance=provenance)
    score = json.loads(run("eval", "own.pt", "--data", "text.txt", "--streams", 1, "--json")[1])
    assert score["predicted"] == len(own.split("test")) - 1
    assert score["text"] == "text.txt, test part"
    score = json.loads(run("eval", "m.pt", "--data", "text.txt", "--streams", 1, "--json")[1])
    assert score["predicted"] == len(own.tokens) - 1


def test_folders_stand_for_the_file_that_is_meant(place, run):
    report = ("energy-report", "m.pt", "--data", "text.txt", "--tokens", 60)
    assert run(*report, "--out", "base")[0] == 0
    assert run(*report, "--baseline", "base")[0] == 0
    assert (
        run("export", "m.pt", "--target", "loihi", "--out", "loihi", "--chip", "loihi1", "--data", "text.txt")[0] == 0
    )
    code, _, err = run(*report, "--placement", "loihi")
    assert code == 0, err
    assert run("info", "loihi")[0] == 0
