"""Checkpoints: what comes back, and what is refused with one clear line."""

import pickle

import numpy as np
import pytest
import torch

import spikegpt
from spikegpt import Config, UserError
from spikegpt.errors import Notice
from tests.conftest import torch_run


def test_round_trip_keeps_the_function(model, tokens, tmp_path):
    spikegpt.save(model, tmp_path / "m.pt", provenance={"text": "none"})
    again = spikegpt.load(tmp_path / "m.pt")
    assert again.config == model.config
    assert (torch_run(again, tokens)[0] == torch_run(model, tokens)[0]).all()


def test_safetensors_round_trip_keeps_function_and_configuration(model, tokens, tmp_path):
    spikegpt.save(model, tmp_path / "m.safetensors", provenance={"text": "none"})
    again = spikegpt.load(tmp_path / "m.safetensors")
    assert (again.config, again.provenance) == (model.config, {"text": "none"})
    assert (torch_run(again, tokens)[0] == torch_run(model, tokens)[0]).all()


@pytest.mark.parametrize("name, layers, width, vocab, binary", [
    ("published_binary", 3, 32, 77, True), ("published_raw", 2, 40, 50, False)])  # fmt: skip
def test_published_files_load_and_give_the_released_logits(name, layers, width, vocab, binary, request):
    folder = request.path.parent / "data"
    with pytest.warns(Notice, match="without a configuration, taken as canonical"):
        model = spikegpt.load(folder / f"{name}.pth", binary_embedding="auto" if binary else False)
    assert model.config == Config(vocab, layers, width, "canonical", binary, 2.0, ctx_len=1024)
    reference = np.load(folder / f"{name}.npz")
    logits, _ = torch_run(model, reference["tokens"].astype(np.int64))
    assert np.abs(logits - reference["logits"]).max() < 1e-3


@pytest.mark.filterwarnings("ignore::spikegpt.errors.Notice")
@pytest.mark.parametrize(("vocab", "binary"), [(50, True), (77, True), (5458, True), (50277, False)])
def test_the_embedding_is_binary_as_in_training_but_for_the_released_large_vocabulary(vocab, binary, tmp_path):
    model = spikegpt.SpikeGPT(Config(vocab, 1, 8, "canonical", lif_tau=2.0))
    torch.save(model.state_dict(), tmp_path / "m.pth")
    assert spikegpt.load(tmp_path / "m.pth").config.binary_embedding is binary
    assert spikegpt.load(tmp_path / "m.pth", binary_embedding=not binary).config.binary_embedding is not binary


def test_half_precision_halves_the_matrices_only(model, tmp_path):
    spikegpt.save(model, tmp_path / "m.pt", half=True)
    stored = torch.load(tmp_path / "m.pt", weights_only=True)["model"]
    assert stored["head.weight"].dtype == torch.float16
    assert stored["blocks.0.att.time_decay"].dtype == torch.float32


def test_overrides_replace_fields(spiking_model, tmp_path):
    spikegpt.save(spiking_model, tmp_path / "m.pt")
    assert spikegpt.load(tmp_path / "m.pt", ctx_len=7).config.ctx_len == 7


class Intruder:
    def __reduce__(self):
        return (print, ("code ran",))


def bad_files(folder, model):
    good = folder / "good.pt"
    spikegpt.save(model, good)
    (folder / "truncated.pt").write_bytes(good.read_bytes()[:2000])
    (folder / "empty.pt").write_bytes(b"")
    (folder / "text.pt").write_text("In the beginning")
    (folder / "code.pt").write_bytes(pickle.dumps(Intruder()))
    torch.save({"format": "something else"}, folder / "foreign.pt")
    record = torch.load(good, weights_only=True)
    torch.save({**record, "config": {**record["config"], "n_layer": 3}}, folder / "misfit.pt")
    torch.save({**record, "config": {**record["config"], "surprise": 1}}, folder / "unknown-key.pt")
    nan = {k: torch.full_like(v, float("nan")) for k, v in record["model"].items()}
    torch.save({**record, "model": nan}, folder / "nan.pt")
    torch.save({"format": record["format"]}, folder / "hollow.pt")
    torch.save({"emb.weight": torch.zeros(3), "blocks.0.ln0.weight": torch.zeros(1)}, folder / "flat.pt")
    (folder / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")


@pytest.mark.parametrize(
    "name",
    ["missing", "truncated", "empty", "text", "code", "foreign", "misfit", "unknown-key", "nan", "hollow", "flat"],
)
def test_bad_checkpoints_are_refused_in_one_line_that_names_the_file(name, spiking_model, tmp_path, capsys):
    bad_files(tmp_path, spiking_model)
    with pytest.raises(UserError) as caught:
        spikegpt.load(tmp_path / f"{name}.pt")
    assert "\n" not in str(caught.value)
    assert f"{name}.pt" in str(caught.value)
    assert "code ran" not in capsys.readouterr().out


def test_damaged_safetensors_are_refused(spiking_model, tmp_path):
    bad_files(tmp_path, spiking_model)
    with pytest.raises(UserError, match=r"cut\.safetensors"):
        spikegpt.load(tmp_path / "cut.safetensors")


def test_an_interrupted_save_leaves_the_old_file(spiking_model, tmp_path, monkeypatch):
    path = tmp_path / "m.pt"
    spikegpt.save(spiking_model, path)
    before = path.read_bytes()

    def fail(record, beside):
        beside.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        spikegpt.save(spiking_model, path)
    assert path.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["m.pt"]
