"""Bits per byte of a model on a text, teacher-forced, with the state carried over the whole of every stream."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikegpt.config import TRANSFORMER
from spikegpt.errors import UserError
from spikegpt.model import SpikeGPT, State
from spikegpt.tokenizer import Tokenizer
from spikegpt.transformer import Transformer

STREAMS = 8  # a text is scored in
CHUNK = 256  # tokens a forward call; the carried state makes the result independent of it


@dataclass(frozen=True)
class Evaluation:
    """Mean code length of `predicted` tokens. A token, a Unicode character and a byte are different units: the last two
    are None where the tokenizer is unknown or the text is not UTF-8. `density` is the share of spike-fed synapses that
    carry an event to a weight which is not zero.
    """

    predicted: int
    bits_per_token: float
    bits_per_character: float | None
    bits_per_byte: float | None
    density: float | None
    rates: dict[str, float]


def fan_out_shares(model: SpikeGPT | Transformer, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By population: of all spike-fed synapses, the share that each neuron (C,) drives.

    Weights that `kept` (by population, a mask of its matrix; none: all are) leaves out do not count. The sum of firing
    rates times these is the density of accumulates. Empty if no matrix reads spikes.
    """
    if not isinstance(model, SpikeGPT):
        return {}
    masks = {tap: kept.get(tap, torch.ones_like(m.weight, dtype=torch.bool)) for tap, m in model.spike_fed().items()}
    return {tap: mask.sum(0) / model.config.spike_synapses for tap, mask in masks.items()}


def not_zero(model: SpikeGPT | Transformer) -> dict[str, Tensor]:
    """Masks of the spike-fed weights that are not zero, by population."""
    return {tap: m.weight != 0 for tap, m in model.spike_fed().items()} if isinstance(model, SpikeGPT) else {}


@contextmanager
def as_run(model: nn.Module) -> Iterator[None]:
    """Without what belongs to training alone: gradients and dropout."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def evaluate(
    model: SpikeGPT | Transformer,
    tokens: np.ndarray,
    streams: int = STREAMS,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score `tokens` (N,) cut into `streams` equal runs, each from an empty state; the remainder is left out.

    Raises UserError when a stream would be shorter than two tokens. `progress` is told every count of tokens done.
    """
    length = len(tokens) // streams
    if length < 2:
        raise UserError(f"{len(tokens)} tokens are too few for {streams} streams: at least 2 each are needed")
    text = torch.from_numpy(tokens[: length * streams].astype(np.int64)).view(streams, length)
    device = model.head.weight.device
    state: State | None = None
    nats, shares, active = 0.0, fan_out_shares(model, not_zero(model)), 0.0
    spikes = dict.fromkeys(shares, 0.0)
    for low, start, high in spans(model, length - 1):
        x, y = text[:, low:high].to(device), text[:, start + 1 : high + 1].to(device)
        taps: dict = {}
        with as_run(model):
            logits, state = model.run(x, None if model.config.variant == TRANSFORMER else state, taps)
        logits = logits[:, start - low :]
        nats += functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
        for name in spikes:
            fired = taps[name].mean((0, 1))
            spikes[name] += fired.mean().item() * x.shape[1]
            active += (fired @ shares[name]).item() * x.shape[1]
        if progress:
            progress(y.numel())
    rates = {name: total / (length - 1) for name, total in spikes.items()}
    predicted = streams * (length - 1)
    density = active / (length - 1) if rates else None
    bits = nats / math.log(2)
    n_bytes, n_characters = text_length(model.tokenizer, text[:, 1:].numpy())
    return Evaluation(
        predicted,
        bits / predicted,
        bits / n_characters if n_characters else None,
        bits / n_bytes if n_bytes else None,
        density,
        rates,
    )


def text_length(tokenizer: Tokenizer | None, streams: np.ndarray) -> tuple[int | None, int | None]:
    """(bytes, Unicode characters) that tokens (streams, N) stand for; characters are None where they are not UTF-8."""
    if tokenizer is None:
        return None, None
    texts = [tokenizer.decode(stream) for stream in streams]
    decoded = [text.decode(errors="ignore") for text in texts]  # a stream may begin inside a character
    whole = all(len(d.encode()) > len(t) - 8 for d, t in zip(decoded, texts, strict=True))
    return sum(map(len, texts)), sum(map(len, decoded)) if whole else None


def spans(model: SpikeGPT | Transformer, length: int) -> Iterator[tuple[int, int, int]]:
    """(first token read, first token scored, end) of every forward call over a stream of `length` inputs.

    A Transformer carries no state past its context: it reads half a context again before what it scores.
    """
    if model.config.variant != TRANSFORMER:
        for low in range(0, length, CHUNK):
            yield low, low, min(low + CHUNK, length)
        return
    ctx, scored = model.config.ctx_len, 0
    while scored < length:
        end = min(length, max(ctx, scored + ctx - ctx // 2))
        yield max(0, end - ctx), scored, end
        scored = end
