"""What every language model here shares: how it is called, what it takes for tokens, the state behind several texts."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikegpt.config import Config
from spikegpt.errors import UserError
from spikegpt.tokenizer import Tokenizer, default_tokenizer

State = dict[str, Tensor]  # one entry a delay, membrane, WKV sum or cache, named after its place


class LanguageModel(nn.Module):
    """Tokens in, logits out, with an explicit state; what `run` computes makes the model."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.tokenizer: Tokenizer | None = default_tokenizer(config.vocab_size)
        self.provenance: dict = {}  # how the model came to be

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, T) int64 -> logits (B, T, V), from an empty state; for one text (T,), also a list or a numpy
        array, logits (T, V). Raises UserError as `run`, and on what are no tokens."""
        streams, alone = as_streams(tokens)
        logits = self.run(streams)[0]
        return logits[0] if alone else logits

    def step(self, token: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One token for each stream: token (B,) int64 -> logits (B, V) and the state to hand to the next call."""
        logits, state = self.run(token[:, None], state)
        return logits[:, 0], state

    def run(self, tokens: Tensor, state: State | None = None, taps: State | None = None) -> tuple[Tensor, State]:
        """What the model computes: tokens (B, T) behind `state` -> logits (B, T, V), new state; `taps` takes spikes."""
        raise NotImplementedError


def as_streams(tokens: Any) -> tuple[Tensor, bool]:
    """Tokens of one text (T,) or several (B, T) as int64 (B, T), and whether it was one. Raises UserError else."""
    try:
        found = tokens if isinstance(tokens, Tensor) else torch.as_tensor(np.require(tokens, requirements="W"))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"tokens must be whole numbers (T,) or (B, T): {' '.join(str(error).split())}") from error
    whole = found.dtype not in (torch.bool,) and not found.is_floating_point() and not found.is_complex()
    if not whole or found.ndim not in (1, 2) or not found.numel():
        kind = str(found.dtype).removeprefix("torch.")
        raise UserError(f"tokens of shape {tuple(found.shape)} and {kind}: whole numbers (T,) or (B, T) are needed")
    return (found[None] if found.ndim == 1 else found).long(), found.ndim == 1


def streams_of(state: dict[str, Tensor]) -> int:
    return len(state["block0_att_shift"])


def selected(state: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """The state of some of its texts, by number. Entries are (B, C), (N * B, C) of N populations, or (3, B, C)."""
    batch = streams_of(state)
    picked = {name: value.reshape(-1, batch, value.shape[-1])[:, rows] for name, value in state.items()}
    return {name: value if state[name].ndim == 3 else value.flatten(0, 1) for name, value in picked.items()}


def joined(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """One state of all texts of several, in their order."""
    found = {}
    for name, first in states[0].items():
        parts = [state[name].reshape(-1, streams_of(state), first.shape[-1]) for state in states]
        found[name] = torch.cat(parts, 1) if first.ndim == 3 else torch.cat(parts, 1).flatten(0, 1)
    return found
