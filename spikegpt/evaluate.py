"""Bits per byte of a model on a text, teacher-forced, with the state carried over the whole of every stream."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from spikegpt.config import SPIKE_DRIVEN, TRANSFORMER
from spikegpt.errors import UserError
from spikegpt.model import SpikeGPT, State
from spikegpt.transformer import Transformer

CHUNK = 256  # tokens a forward call; the carried state makes the result independent of it


@dataclass(frozen=True)
class Evaluation:
    """`bits_per_byte` over `predicted` bytes; `density` is the share of active synapse inputs, weighted by fan-out."""

    bits_per_byte: float
    predicted: int
    density: float | None
    rates: dict[str, float]


def fan_out_weights(model: SpikeGPT | Transformer) -> dict[str, float]:
    """Share of the body's synapses behind every spiking population, by tap name; empty if no matrix reads spikes."""
    matrices = {name: m.weight.numel() for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    body = sum(n for name, n in matrices.items() if name != "head")
    named = {
        f"block{k.split('.')[1]}_{'_'.join(k.split('.')[2:])}_lif": n / body for k, n in matrices.items() if "." in k
    }
    return named if model.config.variant == SPIKE_DRIVEN else {}


@torch.no_grad()
def evaluate(
    model: SpikeGPT | Transformer, tokens: np.ndarray, streams: int = 8, progress: Callable[[int], None] | None = None
) -> Evaluation:
    """Score `tokens` (N,) cut into `streams` equal runs, each from an empty state; the remainder is left out.

    Raises UserError when a stream would be shorter than two tokens. `progress` is told every count of tokens done.
    """
    length = len(tokens) // streams
    if length < 2:
        raise UserError(f"{len(tokens)} tokens are too few for {streams} streams: at least 2 each are needed")
    text = torch.from_numpy(tokens[: length * streams].astype(np.int64)).view(streams, length)
    state: State | None = None
    nats, weights = 0.0, fan_out_weights(model)
    spikes = dict.fromkeys(weights, 0.0)
    for low, start, high in spans(model, length - 1):
        x, y = text[:, low:high], text[:, start + 1 : high + 1]
        taps: dict = {}
        logits, state = model.run(x, None if model.config.variant == TRANSFORMER else state, taps)
        logits = logits[:, start - low :]
        nats += functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
        for name in spikes:
            spikes[name] += taps[name].mean().item() * x.shape[1]
        if progress:
            progress(y.numel())
    rates = {name: total / (length - 1) for name, total in spikes.items()}
    predicted = streams * (length - 1)
    density = sum(weights[name] * rate for name, rate in rates.items()) if rates else None
    return Evaluation(nats / math.log(2) / predicted, predicted, density, rates)


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
