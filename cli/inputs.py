"""What several commands read: a checkpoint or `.nir` file, and a part of a text as tokens."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from spikegpt.corpus import Corpus, load_corpus
from spikegpt.errors import UserError

if TYPE_CHECKING:
    import nir


@contextmanager
def progress_bar(label: str, total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal that vanishes when done; gives the function that advances it."""
    from rich.progress import Progress

    with Progress(transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


def load_graph(path: str) -> "nir.NIRGraph":
    """The float NIR graph of a checkpoint, or the graph in a `.nir` file as it is."""
    from exporters import nir as exporter

    if path.endswith(".nir"):
        return exporter.read(path)
    import spikegpt

    return exporter.export(spikegpt.load(path))


def load_text(data: str | None, split: str, tokens: int | None) -> tuple[Corpus, np.ndarray]:
    """A corpus and the first `tokens` tokens of one of its parts (all of a text under 1,000 bytes, which has none)."""
    corpus = load_corpus(data)
    part = corpus.split(split) if len(corpus.tokens) >= 1000 else corpus.tokens
    if len(part) < 2:
        raise UserError(f"{corpus.name}: {len(part)} bytes are too few, at least 2 are needed")
    return corpus, part[:tokens].astype(np.int64)


def variant_of(graph: "nir.NIRGraph") -> str:
    """Which variant a SpikeGPT graph is, by its structure. Raises UserError for other networks."""
    if "block0_att_key" not in graph.nodes or "head" not in graph.nodes:
        raise UserError("this graph is not a SpikeGPT: it has no node block0_att_key or head")
    if "block0_att_key_lif" in graph.nodes:
        return "spike-driven"
    return "canonical" if "block0_att_lif" in graph.nodes else "continuous"
