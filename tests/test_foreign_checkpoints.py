"""Checkpoints as training frameworks and other models leave them: equal logits, or one line naming key and reason."""

import json
import time
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import spikegpt
from spikegpt import Config, SpikeGPT, UserError
from spikegpt.config import CANONICAL
from spikegpt.errors import Notice
from spikegpt.transformer import Transformer
from tests.conftest import OLD, lively_model

pytestmark = pytest.mark.filterwarnings("ignore::spikegpt.errors.Notice")
TOKENS = torch.arange(40)[None] % 50


@pytest.fixture(scope="module")
def reference() -> SpikeGPT:
    return lively_model(CANONICAL)


def prefixed(weights: dict, prefix: str) -> dict:
    return {f"{prefix}{name}": value for name, value in weights.items()}


WRAPPED = {
    "nothing": lambda w: w,
    "Lightning": lambda w: {"state_dict": prefixed(w, "model."), "epoch": 3, "optimizer_states": [{"state": {}}]},
    "a training loop": lambda w: {"model": w, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "step": 7},
    "DeepSpeed": lambda w: {"module": w, "dp_world_size": 8},
    "params": lambda w: {"params": w},
    "nested": lambda w: {"checkpoint": {"state_dict": prefixed(w, "module.")}},
    "DataParallel": lambda w: prefixed(w, "module."),
    "compiled": lambda w: prefixed(w, "_orig_mod."),
    "compiled blocks": lambda w: {k.replace(".att.", "._orig_mod.att."): v for k, v in w.items()},
    "both": lambda w: prefixed(w, "module._orig_mod."),
    "a head beside the body": lambda w: {("" if k.startswith("head") else "rwkv.") + k: v for k, v in w.items()},
    "averaged": lambda w: {**prefixed(w, "module."), "n_averaged": torch.tensor(9)},
    "parameters": lambda w: {k: torch.nn.Parameter(v) for k, v in w.items()},
    "squeezed": lambda w: {k: v.squeeze() for k, v in w.items()},
    "float64": lambda w: {k: v.double() for k, v in w.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_weights_are_found_behind_what_frameworks_put_around_them(wrapping, reference, tmp_path):
    torch.save(WRAPPED[wrapping](reference.state_dict()), tmp_path / "m.pth")
    assert torch.equal(spikegpt.load(tmp_path / "m.pth")(TOKENS), reference(TOKENS))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_as_the_numbers_it_holds(kind, reference, tmp_path):
    weights = {k: v.to(kind) for k, v in reference.state_dict().items()}
    torch.save(weights, tmp_path / "m.pth")
    rounded = SpikeGPT(reference.config)
    rounded.load_state_dict({k: v.float() for k, v in weights.items()})
    assert torch.equal(spikegpt.load(tmp_path / "m.pth")(TOKENS), rounded(TOKENS))


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_are_joined_from_their_index_or_folder(kind, reference, tmp_path):
    weights = {k: v.contiguous() for k, v in reference.state_dict().items()}
    names, stem = sorted(weights), "model" if kind == "safetensors" else "pytorch_model"
    files = [f"{stem}-0000{i}-of-00002.{kind}" for i in (1, 2)]
    for file, part in zip(files, (names[::2], names[1::2]), strict=True):
        held = {k: weights[k] for k in part}
        save_file(held, tmp_path / file) if kind == "safetensors" else torch.save(held, tmp_path / file)
    index = {"weight_map": {k: files[i % 2] for i, k in enumerate(names)}}
    place = tmp_path / f"{stem}.{kind}.index.json"
    place.write_text(json.dumps(index))
    for path in (place, tmp_path):
        assert torch.equal(spikegpt.load(path)(TOKENS), reference(TOKENS))
    with pytest.raises(UserError, match="shard 2 of 2"):
        spikegpt.load(tmp_path / files[1])
    for wrong in ("../secret", files[0] + "x", "/etc/hosts"):
        place.write_text(json.dumps({"weight_map": {**index["weight_map"], names[0]: wrong}}))
        with pytest.raises(UserError, match=r"not the name of a file|no such file|does not hold"):
            spikegpt.load(place)


def test_a_folder_means_the_one_model_in_it(reference, tmp_path):
    with pytest.raises(UserError, match="folder that holds no file of weights"):
        spikegpt.load(tmp_path)
    spikegpt.save(reference, tmp_path / "model.pt")
    spikegpt.save(reference, tmp_path / "last.pt")
    assert torch.equal(spikegpt.load(tmp_path)(TOKENS), reference(TOKENS))
    (tmp_path / "model.pt").rename(tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"last\.pt, other\.pt"):
        spikegpt.load(tmp_path)


def flat(**more) -> dict:
    return {**lively_model(CANONICAL).state_dict(), **more}


def without(weights: dict, name: str) -> dict:
    return {k: v for k, v in weights.items() if k != name}


ONE = torch.ones(1)
REFUSED = {
    "int8": (lambda: flat(**{"head.weight": torch.ones(50, 24, dtype=torch.int8)}), r"head\.weight holds int8"),
    "float8": (lambda: flat(**{"head.weight": ONE.to(torch.float8_e4m3fn)}), r"head\.weight holds float8"),
    "bool": (lambda: flat(**{"ln_out.weight": torch.ones(24) > 0}), r"ln_out\.weight holds bool"),
    "complex": (lambda: flat(**{"ln_out.weight": torch.ones(24) * 1j}), r"ln_out\.weight holds complex"),
    "sparse": (lambda: flat(**{"head.weight": torch.eye(50, 24).to_sparse()}), r"head\.weight is sparse"),
    "a number for weights": (lambda: flat(**{"ln_out.weight": 1.0}), r"ln_out\.weight holds a float"),
    "GPTQ": (lambda: flat(**{"blocks.0.att.key.qweight": ONE}), r"att\.key\.qweight: quantised"),
    "bitsandbytes": (lambda: flat(**{"blocks.0.att.key.SCB": ONE}), r"att\.key\.SCB: quantised"),
    "LoRA": (lambda: flat(**{"blocks.0.att.key.lora_A.weight": ONE}), r"lora_A.*merged"),
    "RWKV-5": (lambda: flat(**{"blocks.0.att.ln_x.weight": ONE}), r"att\.ln_x\.weight: a name of RWKV-5"),
    "RWKV-6": (lambda: flat(**{"blocks.0.att.time_maa_x": ONE, "blocks.0.att.ln_x.weight": ONE}), "RWKV-6"),
    "RWKV-7": (lambda: flat(**{"blocks.0.att.x_r": ONE, "blocks.0.att.ln_x.weight": ONE}), "RWKV-7"),
    "Hugging Face RWKV": (lambda: {"rwkv.embeddings.weight": ONE, "head.weight": ONE}, r"embeddings\.weight.*Hugging"),
    "a GPT-2": (lambda: {"transformer.wte.weight": ONE}, r"transformer\.wte\.weight.*no emb\.weight"),
    "two models": (lambda: {"model": flat(), "ema": flat()}, "several models"),
    "teacher and student": (lambda: {**prefixed(flat(), "a."), **prefixed(flat(), "b.")}, "several models"),
    "a missing key": (lambda: without(flat(), "blocks.1.att.value.weight"), r"att\.value\.weight is missing"),
    "an unknown key": (lambda: flat(surprise=ONE), "surprise is in no canonical model"),
    "a wrong shape": (lambda: flat(**{"head.weight": torch.ones(50, 25)}), r"head\.weight has shape \(50, 25\)"),
    "a gap in the blocks": (lambda: flat(**{"blocks.7.ln1.weight": ONE}), "numbered 0, 1, 7"),
    "spike-driven": (lambda: lively_model("spike-driven").state_dict(), r"blocks\.0\.att\.gain: a spike-driven"),
    "a Transformer": (lambda: Transformer(Config(50, 1, 64, "transformer")).state_dict(), r"position\.weight"),
    "NaN": (lambda: flat(**{"ln_out.weight": torch.full((24,), torch.nan)}), r"ln_out\.weight holds NaN"),
    "an expanded tensor": (lambda: flat(**{"ln_out.weight": torch.ones(1).expand(1 << 40)}), "claims more numbers"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_read_is_refused_by_key_and_reason(kind, tmp_path, run):
    make, message = REFUSED[kind]
    torch.save(make(), tmp_path / "m.pth")
    with pytest.raises(UserError, match=message) as caught:
        spikegpt.load(tmp_path / "m.pth")
    assert str(caught.value).startswith(str(tmp_path / "m.pth"))
    code, out, err = run("info", tmp_path / "m.pth")
    assert (code, out) == (2, "")
    assert len([line for line in err.splitlines() if "without a configuration, taken as" not in line]) == 1


def test_what_a_state_dict_does_not_say_is_said_and_can_be_named(reference, tmp_path, run):
    torch.save(reference.state_dict(), tmp_path / "m.pth")
    with pytest.warns(Notice, match="taken as canonical, binary embedding, time constant 2.*RWKV-4"):
        spikegpt.load(tmp_path / "m.pth")
    text = tmp_path / "t.txt"
    text.write_text("".join(chr(ord("A") + i % 50) for i in range(200)))
    vocabulary = tmp_path / "v.json"
    vocabulary.write_text(json.dumps({str(i): chr(ord("A") + i) for i in range(50)}))
    found = {}
    for options in ((), ("--variant", "continuous"), ("--embedding", "raw")):
        named = (tmp_path / "m.pth", "--data", text, "--tokenizer", vocabulary, *options, "--json")
        code, out, err = run("eval", *named)
        assert code == 0, err
        assert err.count("taken as") == 1
        found[options] = json.loads(out)["bits_per_token"]
        code, out, err = run("simulate", *named)
        assert code == 0, err
        assert err.count("taken as") == 1
    assert len(set(found.values())) == 3
    spikegpt.save(reference, tmp_path / "own.pt")
    assert run("info", tmp_path / "own.pt", "--variant", "canonical")[0] == 0
    assert "it says itself variant = canonical" in run("info", tmp_path / "own.pt", "--variant", "continuous")[2]


def test_a_spike_driven_or_transformer_state_dict_loads_where_its_variant_is_named(tmp_path):
    for model in (lively_model(OLD), Transformer(Config(50, 1, 64, "transformer", ctx_len=64))):
        torch.save(model.state_dict(), tmp_path / "m.pth")
        again = spikegpt.load(tmp_path / "m.pth", variant=model.config.variant)
        assert torch.equal(again(TOKENS), model(TOKENS))


@pytest.mark.parametrize("claim", [
    {"n_layer": 1024, "n_embd": 65536}, {"vocab_size": 1 << 22}, {"n_layer": 3}, {"n_layer": 1 << 70}, {"n_embd": True},
    {"lif_tau": float("inf")}, {"lif_tau": float("nan")}, {"lif_tau": 0.5}, {"lif_threshold": float("inf")},
    {"lif_threshold": "1"}, {"variant": ["canonical"]}, {"binary_embedding": 2}, {"ctx_len": -1}, {"ctx_len": None},
    {"surprise": 1}, {"variant": {"a": {"b": 1}}},
])  # fmt: skip
def test_a_configuration_that_its_weights_do_not_bear_out_is_refused_at_once(claim, tmp_path):
    spikegpt.save(lively_model("spike-driven"), tmp_path / "m.pt")
    record = torch.load(tmp_path / "m.pt", weights_only=True)
    torch.save({**record, "config": {**record["config"], **claim}}, tmp_path / "m.pt")
    started = time.process_time()
    with pytest.raises(UserError, match=r"m\.pt"):
        spikegpt.load(tmp_path / "m.pt")
    assert time.process_time() - started < 1


@pytest.mark.parametrize("part", ["config", "provenance", "tokenizer", "model"])
@pytest.mark.parametrize("value", [None, 3, "text", [1], {"a": [[[]]]}, {1: 2}, {"kind": "characters"}])
def test_a_damaged_record_of_ours_is_refused_or_read_without_it(part, value, tmp_path):
    spikegpt.save(lively_model("spike-driven"), tmp_path / "m.pt")
    record = torch.load(tmp_path / "m.pt", weights_only=True)
    torch.save({**record, part: value}, tmp_path / "m.pt")
    if (part, value) in (("tokenizer", None), ("provenance", {"kind": "characters"})):  # nothing is wrong with these
        assert spikegpt.load(tmp_path / "m.pt").tokenizer is None
        return
    with pytest.raises(UserError, match=r"m\.pt"):
        spikegpt.load(tmp_path / "m.pt")


@pytest.mark.parametrize("name", ["m.pt", "m.safetensors"])
def test_a_flipped_bit_is_refused_or_changes_nothing(name, tmp_path):
    model = lively_model("spike-driven", n_layer=1, n_embd=8)
    spikegpt.save(model, tmp_path / name, provenance={"text": "none"})
    good, expected, refused = (tmp_path / name).read_bytes(), model(TOKENS), 0
    rng = np.random.default_rng(0)
    for at in rng.integers(0, 8 * len(good), 120).tolist():
        data = bytearray(good)
        data[at // 8] ^= 1 << at % 8
        (tmp_path / name).write_bytes(data)
        try:
            found = spikegpt.load(tmp_path / name)
        except UserError:
            refused += 1
        else:
            assert torch.equal(found(TOKENS), expected)
            assert (found.config, found.provenance) == (model.config, {"text": "none"})
    assert refused > 40


def test_files_of_ours_without_a_digest_still_load(tmp_path):
    model = lively_model("spike-driven")
    spikegpt.save(model, tmp_path / "m.safetensors")
    from safetensors import safe_open

    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        metadata = {k: v for k, v in file.metadata().items() if k != "digest"}
    save_file(dict(model.state_dict()), tmp_path / "old.safetensors", metadata)
    assert torch.equal(spikegpt.load(tmp_path / "old.safetensors")(TOKENS), model(TOKENS))


def test_a_packed_archive_is_no_checkpoint(tmp_path):
    spikegpt.save(lively_model("spike-driven"), tmp_path / "m.pt")
    with (
        zipfile.ZipFile(tmp_path / "m.pt") as old,
        zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(UserError, match="compressed"):
        spikegpt.load(tmp_path / "z.pt")


@pytest.mark.parametrize("tokens", [[1, 2, 3], np.arange(5), np.arange(6).reshape(2, 3), torch.arange(5).int()])
def test_a_model_takes_tokens_as_people_have_them(tokens, reference):
    logits = reference(tokens)
    shape = np.shape(tokens)
    assert logits.shape == (*shape, 50)
    rows = torch.as_tensor(np.asarray(tokens)).long().reshape(-1, shape[-1])
    assert torch.equal(logits.reshape(len(rows), -1, 50), reference(rows))


@pytest.mark.parametrize("tokens", [[], 3, [[[1]]], [1.5], ["a"], [None], [[1], [2, 3]], [True], [99], [-1]])
def test_what_is_no_tokens_is_one_line(tokens, reference):
    with pytest.raises(UserError, match="token"):
        reference(tokens)
