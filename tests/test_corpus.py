"""Texts in every format they are distributed in become the same tokens, and the units of length stay apart."""

import hashlib
import io
import json
import lzma
import struct
import zipfile

import numpy as np
import pytest
import zstandard
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from spikegpt import Config, SpikeGPT, UserError, checkpoint, texts
from spikegpt.corpus import load_corpus, prepare
from spikegpt.evaluation import evaluate
from spikegpt.generation import feed_of
from spikegpt.sampling import continue_text
from spikegpt.tokenizer import Bytes, Characters, Json, tokenizer_from_dict
from spikegpt.tokenizer_files import read_tokenizer

TEXT = ("Grüße, κόσμε! 🙂 the quick brown fox\n" * 300).encode()


@pytest.fixture
def bpe(tmp_path):
    """A small byte-level BPE with an end-of-text token, as GPT-NeoX's is."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT.decode()], trainer)
    path = tmp_path / "bpe.json"
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize("kind", ["bytes", "characters", "json"])
def test_tokenizers_lose_nothing_and_travel_in_a_checkpoint(kind, bpe, tmp_path):
    tokenizer = {"bytes": Bytes(), "characters": Characters.of(set(TEXT.decode())), "json": read_tokenizer(bpe)}[kind]
    tokens = tokenizer.encode(TEXT)
    assert tokenizer.decode(tokens) == TEXT
    assert tokens.max() < tokenizer.vocab_size
    model = SpikeGPT(Config(tokenizer.vocab_size, 1, 8))
    model.tokenizer = tokenizer
    for name in ("m.pt", "m.safetensors"):
        checkpoint.save(model, tmp_path / name)
        assert checkpoint.load(tmp_path / name).tokenizer == tokenizer
    assert tokenizer_from_dict(tokenizer.to_dict()) == tokenizer


def test_the_released_vocabulary_of_characters_is_read(tmp_path):
    path = tmp_path / "vocab.json"
    path.write_bytes(json.dumps({str(i): c for i, c in enumerate("aé🙂\n")}).encode("utf-16"))
    assert read_tokenizer(path).encode("🙂a".encode()).tolist() == [2, 0]


def test_what_a_vocabulary_lacks_is_named():
    with pytest.raises(UserError, match=r"'z' \(U\+007A, at 2\)"):
        Characters("ab").encode(b"abz")
    with pytest.raises(UserError, match="byte 1 is not UTF-8"):
        Characters("ab").encode(b"a\xff")


def packed(kind: str, folder):
    path = folder / f"text.{kind}"
    if kind == "txt":
        path.write_bytes(TEXT)
    elif kind == "xz":
        path.write_bytes(lzma.compress(TEXT))
    elif kind == "txt.zst":
        path.write_bytes(zstandard.compress(TEXT))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("text", TEXT)
    return path


@pytest.mark.parametrize("kind", ["txt", "xz", "txt.zst", "zip"])
@pytest.mark.parametrize("piece", [7, 1 << 20])
def test_every_format_gives_the_tokens_of_the_plain_text(kind, piece, tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "PIECE", piece)
    path, characters = packed(kind, tmp_path), Characters.of(set(TEXT.decode()))
    expected = characters.encode(TEXT)
    assert (load_corpus(str(path), "characters").tokens == expected).all()
    done: list[int] = []
    corpus = prepare([path], "characters", tmp_path / "out", done.append)
    assert isinstance(corpus.tokens, np.memmap)
    assert (corpus.tokens == expected).all()
    assert (
        (corpus.sha256, corpus.n_bytes) == (hashlib.sha256(TEXT).hexdigest(), len(TEXT)) == (corpus.sha256, sum(done))
    )
    again = load_corpus(str(tmp_path / "out"))
    assert again.tokenizer == characters
    assert (again.tokens == expected).all()


def test_documents_of_openwebtext2_are_kept_apart(bpe, tmp_path):
    documents = ["first\ntext", "second"]
    raw = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as writer:
        writer.write("".join(json.dumps({"text": d, "meta": {}}) + "\n" for d in documents).encode())
    path = tmp_path / "owt.jsonl.zst"
    path.write_bytes(raw.getvalue())
    tokenizer = read_tokenizer(bpe)
    assert isinstance(tokenizer, Json)
    corpus = prepare([path], tokenizer, tmp_path / "out")
    assert tokenizer.decode(corpus.tokens) == b"first\ntext<|endoftext|>second<|endoftext|>"
    assert bytes(prepare([path], Bytes(), tmp_path / "bytes").tokens) == b"first\ntext\nsecond\n"


def test_token_files_of_the_released_code_are_mapped(tmp_path):
    tokens = np.arange(1000, dtype=np.uint16) % 77
    tokens.tofile(tmp_path / "data.bin")
    sizes = np.array([400, 600], "<i4")
    header = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, len(sizes), 3)
    index = header + sizes.tobytes() + np.array([0, 800], "<i8").tobytes() + np.array([0, 1, 2], "<i8").tobytes()
    (tmp_path / "data.idx").write_bytes(index)
    corpus = load_corpus(str(tmp_path / "data.bin"))
    assert (corpus.tokens == tokens).all()
    assert corpus.tokenizer is None
    (tmp_path / "data.idx").write_bytes(index.replace(sizes.tobytes(), np.array([400, 700], "<i4").tobytes()))
    with pytest.raises(UserError, match=r"1,000 tokens, but its index counts 1,100"):
        load_corpus(str(tmp_path / "data.bin"))


def test_enwik8_must_be_enwik8(tmp_path, monkeypatch):
    path = tmp_path / "enwik8"
    path.write_bytes(TEXT)
    with pytest.raises(UserError, match="not the text its name says"):
        load_corpus(str(path))
    monkeypatch.setitem(texts.KNOWN, "enwik8", (len(TEXT), hashlib.sha256(TEXT).hexdigest()))
    assert len(load_corpus(str(path)).tokens) == len(TEXT)
    with zipfile.ZipFile(tmp_path / "enwik8.zip", "w") as archive:
        archive.writestr("enwik8", TEXT[:-1])
    with pytest.raises(UserError, match="not the text its name says"):
        load_corpus(str(tmp_path / "enwik8.zip"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", b"PK no"),
        ("a.zst", b"no"),
        ("a.xz", b"no"),
        ("a.jsonl", b'{"no text": 1}\n'),
        ("empty.txt", b""),
    ],
)
def test_a_damaged_text_is_refused_and_leaves_nothing(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=name):
        prepare([path], Bytes(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bits_per_byte_character_and_token_are_different_units():
    tokenizer = Characters.of(set(TEXT.decode()))
    model = SpikeGPT(Config(tokenizer.vocab_size, 1, 8))
    model.tokenizer = tokenizer
    score = evaluate(model, tokenizer.encode(TEXT), streams=1)
    n_bytes, n_characters = len(TEXT) - 1, len(TEXT.decode()) - 1  # the first character is not predicted
    assert score.bits_per_character == score.bits_per_token
    assert score.bits_per_byte == pytest.approx(score.bits_per_token * n_characters / n_bytes)
    model.tokenizer = None
    assert evaluate(model, tokenizer.encode(TEXT)).bits_per_byte is None
    binary = SpikeGPT(Config(256, 1, 8))
    assert evaluate(binary, np.full(100, 255, np.uint8)).bits_per_character is None


def test_generated_pieces_join_to_whole_characters(bpe):
    tokenizer = read_tokenizer(bpe)
    script = tokenizer.encode("🙂 κόσμε the fox".encode()).tolist()

    class Reciter(SpikeGPT):
        """Says the script, whatever it reads."""

        def run(self, tokens, state=None, taps=None):
            import torch

            said = 0 if state is None else state["said"]
            logits = torch.full((1, 1, tokenizer.vocab_size), -1e9)
            logits[0, 0, script[said % len(script)]] = 1e9
            return logits, {"said": said + 1}

    pieces = list(continue_text(feed_of(Reciter(Config(300, 1, 8))), tokenizer, b"the", len(script), temperature=0))
    assert b"".join(piece.text for piece in pieces).decode() == "🙂 κόσμε the fox"
