"""What a user chooses for the Loihi target."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikegpt.tokenizer import Tokenizer

TOKENS = 20_000  # of the text, measured on by default
REPLAYED = 64  # of the text, replayed in SANA-FE by default: some megabytes for 10,000 neurons


@dataclass(frozen=True, eq=False)
class TextPart:
    """A part of a text by name, as tokens (T,), and how it was cut."""

    name: str
    tokens: np.ndarray
    tokenizer: Tokenizer


@dataclass(frozen=True, eq=False)
class Settings:
    """`chip` is a name or a YAML file, `chips` how many there are (None: as many as it takes); `bits` and `prune` are
    those of `quantize`; `recording` names the inputs that are built into a network of another tool, whose tokens are
    their steps; `progress` is told tokens as they are done, two for every one of the text."""

    chip: str = "loihi2"
    chips: int | None = None
    bits: int = 8
    prune: float = 0.0
    text: TextPart | None = None
    recording: str | None = None
    progress: Callable[[int], None] = lambda done: None
