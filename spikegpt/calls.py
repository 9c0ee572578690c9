"""What Python users call in a line: a model trained, scored on a text, continued."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikegpt import checkpoint
from spikegpt.config import SPIKE_DRIVEN, preset
from spikegpt.corpus import Corpus, load_corpus
from spikegpt.errors import UserError
from spikegpt.evaluation import STREAMS, Evaluation
from spikegpt.evaluation import evaluate as score
from spikegpt.generation import feed_of
from spikegpt.model import SpikeGPT
from spikegpt.sampling import continue_text
from spikegpt.shipped import resolved
from spikegpt.tokenizer import Tokenizer, default_tokenizer
from spikegpt.train_config import TrainConfig
from spikegpt.training import train as run
from spikegpt.transformer import Transformer

Model = SpikeGPT | Transformer
DataLike = str | Path | Corpus | None  # a text, a folder of `spikegpt tokenize`, None or "kjv": the embedded one


def train(
    data: DataLike,
    out: str | Path,
    *,
    variant: str = SPIKE_DRIVEN,
    size: str = "tiny",
    shape: Mapping[str, Any] | None = None,
    teacher: str | Path | None = None,
    teacher_variant: str | None = None,
    teacher_binary: bool | None = None,
    start: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    device: str = "cpu",
    **settings: Any,
) -> tuple[Model, Evaluation]:
    """Train a model on a text and leave the folder `out`, as `spikegpt train` does.

    `size` is a preset, of which `shape` changes fields of `Config` (n_layer, n_embd, ..); `settings` are fields of
    `TrainConfig` (steps, lr, batch, ctx, density, ..); `teacher_variant` and `teacher_binary` (its embedding) say what
    a `teacher` without a configuration does not. Returns the model as stored and its score on the validation
    part, in bits. Raises UserError for what does not fit, and TypeError for a setting that there is not.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = {"n_layer": 1, "n_embd": 8}
    ...     model, found = train("kjv", f"{folder}/run", shape=small, steps=2, batch=2, ctx=8)
    >>> model.config.variant, found.bits_per_byte > 1
    ('spike-driven', True)
    """
    corpus = data if isinstance(data, Corpus) else load_corpus(None if data is None else str(data))
    cfg = TrainConfig(**settings)
    fields = {"ctx_len": cfg.ctx, **(shape or {})}
    if corpus.tokenizer is not None:
        fields["vocab_size"] = corpus.tokenizer.vocab_size
    own, other = (None if path is None else resolved(path) for path in (teacher, start))
    return run(preset(size, variant, **fields), corpus, cfg, Path(out), teacher=own, teacher_variant=teacher_variant,
               teacher_binary=teacher_binary, start=other, resume=resume, force=force, device=device)  # fmt: skip


def evaluate(
    model: Model | str | Path,
    data: DataLike | np.ndarray = None,
    split: str = "test",
    tokens: int | None = None,
    streams: int = STREAMS,
) -> Evaluation:
    """Score a model, or the checkpoint at a path, on part of a text, or on tokens (N,) of whole numbers.

    `split` is train, valid, test or all, of which the first `tokens` count; they are cut into `streams` equal runs,
    each from an empty state. Bits per token, character and byte; `density` is the share of spike-fed synapses that are
    active. Raises UserError for a text whose tokens are not the model's, and for one too short.

    >>> found = evaluate("shipped:kjv", tokens=2048)
    >>> 1 < found.bits_per_byte < 3, 0.04 < found.density < 0.06
    (True, True)
    """
    held = loaded(model)
    if isinstance(data, np.ndarray):
        return score(held, data[:tokens], streams)
    corpus = data if isinstance(data, Corpus) else load_corpus(None if data is None else str(data), tokenizer_of(held))
    return score(held, corpus.split(split)[:tokens], streams)


def generate(
    model: Model | str | Path,
    prompt: str,
    tokens: int = 100,
    *,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
) -> str:
    """The text that a model, or the checkpoint at a path, goes on with behind `prompt`; temperature 0 is greedy.

    Raises UserError for an empty prompt, and for a model that does not say how text becomes its tokens.

    >>> generate("shipped:kjv", "In the beginning", tokens=4, temperature=0)
    ' of '
    """
    held = loaded(model)
    found = continue_text(feed_of(held), tokenizer_of(held), prompt.encode(), tokens, temperature, top_p, seed)
    return b"".join(piece.text for piece in found).decode(errors="replace")


def loaded(model: Model | str | Path) -> Model:
    return model if isinstance(model, SpikeGPT | Transformer) else checkpoint.load(resolved(model))


def tokenizer_of(model: Model) -> Tokenizer:
    """Raises UserError for a model that does not say how text becomes its tokens."""
    found = model.tokenizer or default_tokenizer(model.config.vocab_size)
    if found is None:
        raise UserError("the model does not say how text becomes its tokens: spikegpt.load(path, tokenizer=FILE.json)")
    return found
