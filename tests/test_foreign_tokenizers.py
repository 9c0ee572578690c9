"""Tokenizers of other people, damaged ones, and a tokenizer or text that is not the model's own."""

import json
import struct

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

import spikegpt
from spikegpt import UserError
from spikegpt.corpus import load_corpus
from spikegpt.errors import Notice
from spikegpt.tokenizer import Characters, tokenizer_from_dict
from spikegpt.tokenizer_files import agreed, read_tokenizer
from tests.conftest import lively_model


def word_level(**more) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"the": 0, "fox": 1, **more}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_truncation_and_padding_of_a_tokenizer_are_switched_off_and_said(tmp_path):
    plain, cut = word_level(), word_level()
    cut.enable_truncation(2)
    cut.enable_padding(length=50)
    plain.save(str(tmp_path / "plain.json"))
    cut.save(str(tmp_path / "cut.json"))
    with pytest.warns(Notice, match="truncation and padding is switched off"):
        found = read_tokenizer(tmp_path / "cut.json")
    text = b"the fox " * 40
    assert found.encode(text).tolist() == read_tokenizer(tmp_path / "plain.json").encode(text).tolist() == [0, 1] * 40
    with pytest.warns(Notice):
        assert agreed(read_tokenizer(tmp_path / "plain.json"), tmp_path / "cut.json", 2) is not None


@pytest.mark.parametrize("content", [
    b"", b"{}", b"[]", b"3", b'{"model": {}}', b'{"model": null}', b"[" * 99_999, b'{"a": ' * 99_999, b"\xff\xfe\x00",
    b'{"0": "ab"}', b'{"0": "a", "1": "a"}', b'{"0": "a", "2": "b"}', b'{"0": 3}', b'{"0": "\\ud800"}', b"\x80abc",
    b'{"model": {"type": "WordLevel", "vocab": {}, "unk_token": "x"}}', b'{"version": "1.0", "model": [[[]]]}',
])  # fmt: skip
def test_what_is_no_tokenizer_is_one_line(content, tmp_path):
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(UserError, match=r"^[^\n]*t\.json[^\n]*$"):
        read_tokenizer(tmp_path / "t.json")


def test_a_tokenizer_without_a_token_for_the_unknown_names_the_fault(tmp_path):
    word_level().save(str(tmp_path / "t.json"))
    with pytest.raises(UserError, match="cannot encode the text"):
        read_tokenizer(tmp_path / "t.json").encode(b"the unknown")


@pytest.mark.parametrize("values", [{}, {"kind": 1}, {"kind": "characters", "vocabulary": 3}, {"kind": "json"}])
def test_a_damaged_description_of_a_tokenizer_is_refused(values):
    with pytest.raises(UserError, match="tokenizer"):
        tokenizer_from_dict(values)


@pytest.fixture
def own(tmp_path):
    """A model that carries a tokenizer of 50 characters, and a text of them."""
    model = lively_model("spike-driven", n_layer=1, n_embd=8)
    model.tokenizer = Characters("".join(map(chr, range(65, 115))))
    spikegpt.save(model, tmp_path / "m.pt", provenance={"text": "mine.txt", "text_sha256": "ab" * 32})
    (tmp_path / "t.txt").write_text("".join(chr(65 + i % 50) for i in range(400)))
    return tmp_path


def test_another_tokenizer_than_the_models_own_is_refused(own, run):
    other, same = own / "other.json", own / "same.json"
    other.write_text(json.dumps({str(i): chr(i + 66) for i in range(50)}))
    same.write_text(json.dumps({str(i): chr(i + 65) for i in range(50)}))
    for command in ("eval", "simulate", "energy-report"):
        base = (command, own / "m.pt", "--data", own / "t.txt", "--tokens", 60)
        for named, said in (
            ("bytes", "leave the option away"),
            (other, "leave"),
            ("characters", "vocabulary of a text"),
        ):
            code, out, err = run(*base, "--tokenizer", named)
            assert (code, out) == (2, ""), (command, named)
            assert said in err.splitlines()[-1]
        assert run(*base, "--tokenizer", same)[0] == 0


def test_tokens_beyond_the_tokenizer_are_refused_before_the_work(own, run):
    (own / "d.bin").write_bytes(np.array([1, 2, 60, 3] * 20, "<u2").tobytes())
    index = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 1, 1) + np.array([80], "<i4").tobytes()
    (own / "d.idx").write_bytes(index + bytes(24))
    for command in ("eval", "simulate"):
        code, out, err = run(command, own / "m.pt", "--data", own / "d.bin")
        assert (code, out) == (2, "")
        assert "token 60 (at 2) is beyond the 50 of the tokenizer" in err


def test_a_model_of_another_text_is_not_measured_on_the_embedded_one(own, run):
    for command in ("eval", "simulate", "energy-report"):
        code, out, err = run(command, own / "m.pt", "--tokens", 50)
        assert (code, out) == (2, "")
        assert "learned from another text than the embedded one (mine.txt): name --data" in err


def test_training_text_in_what_is_scored_is_said(own, run):
    sha = load_corpus(str(own / "t.txt")).sha256
    model = spikegpt.load(own / "m.pt")
    spikegpt.save(model, own / "m.pt", provenance={"text": "t.txt", "text_sha256": sha})
    for options, said in (((), 0), (("--split", "all"), 1), (("--split", "train"), 1)):
        code, _, err = run("eval", own / "m.pt", "--data", own / "t.txt", *options, "--streams", 1)
        assert code == 0, err
        assert err.count("learned from this text") == said


def test_a_tokenizer_named_at_export_travels_with_it(own, run):
    model = spikegpt.load(own / "m.pt")
    torch.save(model.state_dict(), own / "flat.pth")
    vocabulary = own / "v.json"
    vocabulary.write_text(json.dumps({str(i): chr(i + 65) for i in range(50)}))
    named = (own / "flat.pth", "--variant", "spike-driven", "--tokenizer", vocabulary)
    text = ("--data", own / "t.txt", "--tokens", 50)
    assert run("export", *named, "--target", "nir", "--out", own / "nir")[0] == 0
    assert run("export", *named, "--target", "loihi", "--out", own / "loihi", *text)[0] == 0
    for place in (own / "nir", own / "nir" / "model.nir", own / "loihi"):
        assert run("simulate", place, *text)[0] == 0
        assert "another than the model carries" in run("simulate", place, *text, "--tokenizer", "bytes")[2]
        assert run("info", place)[0] == 0
    assert tokenizer_from_dict(json.loads((own / "loihi" / "tokenizer.json").read_text())) == model.tokenizer
    assert "vocabulary" not in (own / "loihi" / "manifest.json").read_text()
