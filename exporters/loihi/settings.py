"""What a user chooses for the Loihi target, and the text that quality and spike traffic are measured on."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import nir
import numpy as np

from exporters.loihi.quality import quality
from hw_sim.counts.counts import Counts
from hw_sim.counts.nonzero import nonzero_operations
from hw_sim.plan import Plan
from hw_sim.run.simulator import Simulator
from hw_sim.run.streams import score
from spikegpt.corpus import load_corpus
from spikegpt.tokenizer import Tokenizer

TOKENS = 20_000  # of the text, measured on by default
FOLDED = 2048  # of the embedded text where nobody says how text becomes tokens


@dataclass(frozen=True, eq=False)
class Text:
    """A part of a text by name, as tokens (T,), and how it was cut."""

    name: str
    tokens: np.ndarray
    tokenizer: Tokenizer


@dataclass(frozen=True, eq=False)
class Settings:
    """`chip` is a name or a YAML file, `chips` how many there are (None: as many as it takes); `bits` and `prune` are
    those of `quantize`; `progress` is told tokens as they are done, two for every one of the text."""

    chip: str = "loihi2"
    chips: int | None = None
    bits: int = 8
    prune: float = 0.0
    text: Text | None = None
    progress: Callable[[int], None] = lambda done: None


def measure(graph: nir.NIRGraph, plan: Plan, settings: Settings) -> tuple[dict[str, Any], Counts]:
    """What quantisation and pruning cost on the text, for the manifest, and the counts of the integer plan.

    Without a text no cost is known: the counts are then those on bytes of the embedded text, folded into the
    vocabulary.
    """
    text = settings.text
    measured: dict[str, Any]
    if text is None:
        corpus = load_corpus(None)
        tokens = corpus.split("test")[:FOLDED].astype(np.int64) % plan.n_vocab
        counts = score(Simulator(plan), tokens).counts
        measured = {"text": f"{corpus.name}, test part, its bytes as tokens", "tokens": len(tokens)}
    else:
        found, counts = quality(graph, plan, text.tokens, text.tokenizer, settings.progress)
        measured = {"text": text.name, **asdict(found), "increase": found.increase}
    synops = {"synops": counts.synops, "nonzero_synops": sum(nonzero_operations(plan, counts).values())}
    return {**measured, **synops}, counts
