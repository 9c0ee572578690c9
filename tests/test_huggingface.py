"""Hugging Face's folders and calls, and lm-eval's requests: offline, on small models, against our own numbers."""

import json
import math
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"  # read when it is imported: nothing here may ask a server
transformers = pytest.importorskip("transformers")
pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.api.registry import get_model  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM  # noqa: E402

import spikegpt  # noqa: E402
from spikegpt import Config, SpikeGPT, UserError  # noqa: E402
from spikegpt.evaluation import evaluate  # noqa: E402
from spikegpt.harness import SpikeGPTLM, settings_of  # noqa: E402
from spikegpt.huggingface import SpikeGPTConfig, wrap  # noqa: E402
from spikegpt.streams import joined, selected  # noqa: E402
from spikegpt.tokenizer import Bytes, Characters, Json  # noqa: E402
from spikegpt.transformer import Transformer  # noqa: E402
from tests.conftest import VOCAB, lively_model  # noqa: E402

ROOT = Path(__file__).parents[1]
transformers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="module")
def texts() -> torch.Tensor:
    """Tokens (3, 20)."""
    return torch.from_numpy(np.random.default_rng(1).integers(0, VOCAB, (3, 20)))


def small_json() -> str:
    """A tokenizer of the `tokenizers` library over VOCAB words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = models.WordLevel({f"w{i}": i for i in range(VOCAB)}, unk_token="w0")
    made = Tokenizer(words)
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made.to_str()


@pytest.mark.parametrize("shard", ["5GB", "10KB"])
def test_a_folder_gives_the_same_model_to_the_bit_on_every_way(model, texts, tmp_path, shard):
    model.provenance = {"seed": 7, "text": "made"}
    wrap(model).save_pretrained(tmp_path, max_shard_size=shard)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard == "10KB")
    theirs, ours = AutoModelForCausalLM.from_pretrained(tmp_path), spikegpt.load(tmp_path)
    assert torch.equal(theirs(texts).logits, model(texts))
    assert torch.equal(ours(texts), model(texts))
    assert theirs.config.to_config() == theirs.model.config == ours.config == model.config
    assert ours.provenance == theirs.model.provenance == model.provenance
    assert not (theirs.training or ours.training)


@pytest.mark.parametrize("kind", ["bytes", "characters", "json"])
def test_the_tokenizer_comes_through(kind, tmp_path):
    kept = {"bytes": Bytes(), "characters": Characters("abcé"), "json": Json(small_json())}[kind]
    model = SpikeGPT(Config(kept.vocab_size, 1, 8))
    model.tokenizer = kept
    wrap(model).save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert spikegpt.load(tmp_path).tokenizer == again.model.tokenizer == kept
    again.save_pretrained(tmp_path / "twice")
    assert spikegpt.load(tmp_path / "twice").tokenizer == kept


def test_weights_stored_in_half_precision_are_read_as_float32_and_not_run_otherwise(tmp_path, texts):
    wrap(lively_model("spike-driven")).half().save_pretrained(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(theirs(texts).logits, spikegpt.load(tmp_path)(texts))
    with pytest.raises(UserError, match="float16: spikes are made in float32"):
        theirs.half()(texts)


def test_a_configuration_goes_both_ways_and_knows_the_common_names():
    config = Config(100, 3, 16, "canonical", lif_tau=1.5, ctx_len=99)
    found = SpikeGPTConfig(**config.to_dict())
    assert found.to_config() == config
    assert (found.hidden_size, found.num_hidden_layers, found.max_position_embeddings) == (16, 3, 99)
    assert SpikeGPTConfig(hidden_size=24).n_embd == 24
    with pytest.raises(UserError, match="n_layer = 0"):
        SpikeGPTConfig(n_layer=0)
    with pytest.raises(UserError, match="no recurrent state"):
        wrap(Transformer(Config(VOCAB, 1, 16, "transformer")))


def test_a_fresh_model_begins_as_ours_does():
    torch.manual_seed(3)
    ours = SpikeGPT(Config(VOCAB, 2, 16))
    torch.manual_seed(3)
    theirs = AutoModelForCausalLM.from_config(SpikeGPTConfig(**ours.config.to_dict()))
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_generate_is_ours_with_the_state_and_without(model, texts):
    wrapped = wrap(model)
    model.tokenizer = Characters("".join(chr(65 + i) for i in range(VOCAB)))
    prompt = model.tokenizer.decode(texts[0].numpy()).decode()
    said = spikegpt.generate(model, prompt, tokens=12, temperature=0)
    read = []
    hook = wrapped.register_forward_pre_hook(lambda m, a, k: read.append(k["input_ids"].shape[1]), with_kwargs=True)
    found = wrapped.generate(texts, max_new_tokens=12, do_sample=False)
    hook.remove()
    assert read == [20] + [1] * 11
    assert model.tokenizer.decode(found[0, 20:].numpy()).decode() == said
    again = wrapped.generate(texts, max_new_tokens=12, do_sample=False, use_cache=False)
    assert torch.equal(found, again)
    assert torch.equal(found[:, 20:], model(found)[:, 19:-1].argmax(-1))
    state = wrapped(texts[:, :15]).state
    for cached in (True, False):
        rest = wrapped.generate(texts[:, 15:], state=state, max_new_tokens=12, use_cache=cached)
        assert torch.equal(rest[:, 5:], found[:, 20:])


def test_the_state_between_two_calls_is_the_whole(model, texts):
    whole = wrap(model)(texts)
    first = wrap(model)(texts[:, :7])
    second = wrap(model)(texts[:, 7:], state=first.state)
    assert torch.allclose(torch.cat([first.logits, second.logits], 1), whole.logits, atol=1e-5)
    assert wrap(model)(texts, use_cache=False).state is None
    assert len(wrap(model)(texts, labels=texts, return_dict=False)) == 3


@pytest.mark.parametrize("beams", [2, 5])
def test_beams_take_their_states_along(model, texts, beams):
    options = {"max_new_tokens": 8, "num_beams": beams, "num_return_sequences": 2, "do_sample": False}
    wrapped = wrap(model)
    assert torch.equal(wrapped.generate(texts, **options), wrapped.generate(texts, use_cache=False, **options))


def test_states_are_taken_apart_and_joined(model, texts):
    _, state = model.run(texts)
    parts = [selected(state, torch.tensor([row])) for row in range(3)]
    for row, part in enumerate(parts):
        _, alone = model.run(texts[row : row + 1])
        assert all(torch.allclose(part[name], alone[name], atol=1e-5) for name in alone)
    assert all(torch.equal(value, state[name]) for name, value in joined(parts).items())


@pytest.mark.parametrize("behind", [False, True])
def test_a_padded_text_gives_what_it_gives_alone(model, texts, behind):
    """Pads on either side: logits, state, loss, and with pads in front the text that is generated."""
    wrapped, lengths = wrap(model), [15, 20, 11]
    kept = torch.zeros_like(texts)
    for row, n in enumerate(lengths):
        kept[row, slice(0, n) if behind else slice(20 - n, 20)] = 1
    found = wrapped(texts, attention_mask=kept, labels=texts)
    nats = 0.0
    for row, n in enumerate(lengths):
        text = texts[row][kept[row].bool()][None]
        alone = wrapped(text, labels=text)
        assert torch.allclose(found.logits[row][kept[row].bool()], alone.logits[0], atol=1e-5)
        mine = selected(found.state, torch.tensor([row]))
        assert all(torch.allclose(mine[name], value, atol=1e-5) for name, value in alone.state.items())
        nats += alone.loss.item() * (n - 1)
        if not behind:
            said = wrapped.generate(texts, attention_mask=kept, max_new_tokens=6)
            assert torch.equal(said[row, 20:], wrapped.generate(text, max_new_tokens=6)[0, n:])
    assert found.loss.item() == pytest.approx(nats / (sum(lengths) - 3), rel=1e-5)
    assert not found.logits[kept == 0].any()


def test_what_cannot_be_right_is_refused_in_a_line(texts):
    wrapped = wrap(lively_model("spike-driven"))
    hole, behind, none = (torch.ones_like(texts) for _ in range(3))
    hole[1, 4], behind[2, 15:], none[0] = 0, 0, 0
    state = wrapped(texts).state
    for match, call in (
        ("text 1 has pads inside", lambda: wrapped(texts, attention_mask=hole)),
        ("text 0 is of pads alone", lambda: wrapped(texts, attention_mask=none)),
        ("padded behind its text", lambda: wrapped.generate(texts, attention_mask=behind, max_new_tokens=2)),
        (r"\(3, 20\) is needed", lambda: wrapped(texts, attention_mask=hole[:, :7])),
        ("a state of 3 texts in front of 1", lambda: wrapped(texts[:1], state=state)),
        ("takes no position_ids", lambda: wrapped(texts, position_ids=texts)),
        ("takes no output_hidden_states", lambda: wrapped(texts, output_hidden_states=True)),
        *(
            (f"takes no output_{what}", partial(wrapped.generate, texts, max_new_tokens=2, **asked))
            for what in ("hidden_states", "attentions")
            for asked in ({f"output_{what}": True}, {f"output_{what}": True, "return_dict_in_generate": True})
        ),
        ("out of range", lambda: wrapped(texts + VOCAB)),
        ("vocabulary", lambda: wrapped.resize_token_embeddings(60)),
    ):
        with pytest.raises(UserError, match=match) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_the_loss_is_our_bits_and_its_gradient_ours(texts):
    model = lively_model("spike-driven")
    row = texts.flatten()[None]
    loss = wrap(model)(row, labels=row).loss
    assert loss.item() / math.log(2) == pytest.approx(evaluate(model, row[0].numpy(), 1).bits_per_token, rel=1e-6)
    loss.backward()
    theirs = model.head.weight.grad.clone()
    model.zero_grad()
    torch.nn.functional.cross_entropy(model(row)[0, :-1], row[0, 1:]).backward()
    assert torch.allclose(theirs, model.head.weight.grad)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("{", "config.json: not JSON"),
        ("[]", "config.json: Expected `object`"),
        ('{"model_type": "spikegpt"}', "config.json: damaged, vocab_size is missing"),
        ({"variant": "none"}, "config.json: variant 'none'"),
        ({"lif_tau": "two"}, "config.json: the configuration is damaged"),
        ({"tokenizer": 3}, "config.json: the configuration is damaged"),
        ({"tokenizer": {"kind": "none"}}, "config.json: tokenizer kind"),
        ({"n_layer": 3}, "2 blocks, n_layer = 3"),
    ],
)
def test_a_damaged_configuration_is_refused_by_name(tmp_path, change, match):
    wrap(lively_model("spike-driven")).save_pretrained(tmp_path)
    told = tmp_path / "config.json"
    told.write_text(change if isinstance(change, str) else json.dumps(json.loads(told.read_text()) | change))
    with pytest.raises(UserError, match=match) as caught:
        spikegpt.load(tmp_path)
    assert "\n" not in str(caught.value)
    if not isinstance(change, str):
        with pytest.raises(UserError):
            AutoModelForCausalLM.from_pretrained(tmp_path)


def test_a_weight_that_lacks_is_not_drawn_anew(tmp_path):
    from safetensors.torch import load_file, save_file

    wrap(lively_model("spike-driven")).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.blocks.1.att.time_decay"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    for read in (AutoModelForCausalLM.from_pretrained, spikegpt.load):
        with pytest.raises(UserError, match=r"blocks\.1\.att\.time_decay is missing"):
            read(tmp_path)


def test_a_configuration_of_another_model_is_left_alone(tmp_path):
    """A folder of another tool goes the way of state dicts, whatever its config.json says."""
    wrap(lively_model("canonical")).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "rwkv"}')
    with pytest.warns(spikegpt.errors.Notice, match="taken as canonical"):
        assert spikegpt.load(tmp_path).config.lif_tau == 2
    assert AutoConfig.from_pretrained(tmp_path).model_type == "rwkv"


def test_without_the_packages_one_line_says_what_to_install():
    for module, extra in (("huggingface", "hf"), ("harness", "harness")):
        code = f"import sys; sys.modules['transformers'] = sys.modules['lm_eval'] = None; import spikegpt.{module}"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert f'pip install "spikegpt[{extra}]"' in done.stderr.splitlines()[-1]


def test_the_page_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "huggingface.md").read_text(), re.S):
        exec(block, {})
    assert capsys.readouterr().out.startswith("In the beginning")


def requests(kind: str, *arguments: tuple) -> list[Instance]:
    return [Instance(kind, {}, args, i) for i, args in enumerate(arguments)]


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> SpikeGPTLM:
    """A byte model behind lm-eval's name for it."""
    torch.manual_seed(0)
    model = SpikeGPT(Config(256, 1, 16))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.5)
    path = tmp_path_factory.mktemp("judge") / "model.pt"
    spikegpt.save(model, path)
    return get_model("spikegpt").create_from_arg_string(f"pretrained={path}", {"batch_size": 1, "device": "cpu"})


def log_p(lm: SpikeGPTLM, text: str) -> np.ndarray:
    """Log-probabilities (T, V) of what follows each byte."""
    return lm.model(list(text.encode())).detach().double().log_softmax(-1).numpy()


def test_loglikelihood_is_the_sum_over_the_continuation(judge):
    asked = [("He saw", " light"), ("He saw", " day"), ("He", " saw light"), ("He saw ", "it")]
    found = judge.loglikelihood(requests("loglikelihood", *asked), disable_tqdm=True)
    for (context, continuation), (nats, greedy) in zip(asked, found, strict=True):
        after = " " + continuation if context.endswith(" ") else continuation  # lm-eval moves spaces over
        p = log_p(judge, context.rstrip() + after)[len(context.rstrip()) - 1 : -1]
        assert nats == pytest.approx(sum(p[i, byte] for i, byte in enumerate(after.encode())), rel=1e-6)
        assert greedy == (p.argmax(-1).tolist() == list(after.encode()))
    best = bytes([int(log_p(judge, "He saw")[-1].argmax())]).decode(errors="ignore")
    if best:
        assert judge.loglikelihood(requests("loglikelihood", ("He saw", best)), disable_tqdm=True)[0][1]


def test_rolling_loglikelihood_is_our_evaluation_in_nats(judge):
    long = "In the beginning God created the heaven and the earth. " * 12  # more than one piece of 256 tokens
    found = judge.loglikelihood_rolling(requests("loglikelihood_rolling", (long,), ("a",), ("",)))
    ours = evaluate(judge.model, np.frombuffer(long.encode(), np.uint8), 1)
    assert found[0] == pytest.approx(-ours.bits_per_token * math.log(2) * (len(long) - 1), rel=1e-6)
    assert found[1:] == [0.0, 0.0]


def test_a_text_without_context_needs_a_named_prefix(judge, monkeypatch):
    empty = requests("loglikelihood", ("", "light"))
    with pytest.raises(UserError, match="prefix_token_id"):
        judge.loglikelihood(empty, disable_tqdm=True)
    monkeypatch.setattr(judge, "prefix", 10)
    p = log_p(judge, "\nlight")
    whole = sum(p[i, byte] for i, byte in enumerate(b"light"))
    assert judge.loglikelihood(empty, disable_tqdm=True)[0][0] == pytest.approx(whole, rel=1e-6)
    assert judge.loglikelihood_rolling(requests("loglikelihood_rolling", ("light",)))[0] == pytest.approx(
        whole, rel=1e-6
    )


def test_generation_ends_at_the_first_of_its_strings(judge):
    said = spikegpt.generate(judge.model, "He saw", tokens=24, temperature=0)
    stop = next(c for c in said[2:] if c.isascii())  # bytes of a made model are seldom UTF-8
    whole, cut, short = judge.generate_until(
        requests(
            "generate_until",
            ("He saw", {"max_gen_toks": 24, "do_sample": False, "temperature": 1}),
            ("He saw", {"max_gen_toks": 24, "until": ["never said", stop, ""]}),
            ("He saw", {"max_new_tokens": 2, "until": "never said"}),
        )
    )
    assert whole == said
    assert cut == said[: said.index(stop)]
    assert said.startswith(short.rstrip("\N{REPLACEMENT CHARACTER}"))
    sampled = requests("generate_until", *[("He saw", {"temperature": 1.0, "max_gen_toks": 24})] * 2)
    first, second = judge.generate_until(sampled)
    assert first != second
    assert judge.generate_until(sampled) == [first, second]
    with pytest.raises(UserError, match="'top_k' is not one of"):
        judge.generate_until(requests("generate_until", ("He saw", {"top_k": 5})))
    with pytest.raises(UserError, match="prompt is empty"):
        judge.generate_until(requests("generate_until", ("", {})))


def test_settings_of_a_request():
    assert settings_of({}, 9) == ([], {"count": 9, "temperature": 0.0, "top_p": 1.0})
    assert settings_of({"do_sample": True, "max_tokens": 3}, 9)[1] == {"count": 3, "temperature": 1.0, "top_p": 1.0}
    assert settings_of({"temperature": 0.0, "until": "\n"}, 9) == (
        [b"\n"],
        {"count": 9, "temperature": 0.0, "top_p": 1.0},
    )
