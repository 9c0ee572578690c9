"""What several commands read: a checkpoint or `.nir` file, and a part of a text as tokens."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click
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


split_option = click.option(
    "--split",
    type=click.Choice(["train", "valid", "test", "all"]),
    help="Part of the text; default: test of the embedded text, all of a --data file.",
)


def load_text(data: str | None, split: str | None, tokens: int | None) -> tuple[Corpus, np.ndarray]:
    """A part of a text, named after both, and its first `tokens` tokens."""
    corpus = load_corpus(data)
    split = split or ("test" if data is None else "all")
    part = corpus.tokens if split == "all" else corpus.split(split)
    if len(part) < 2:
        raise UserError(f"{corpus.name}: {len(part)} bytes are too few, at least 2 are needed")
    name = corpus.name if split == "all" else f"{corpus.name}, {split} part"
    return replace(corpus, name=name), part[:tokens].astype(np.int64)


def variant_of(graph: "nir.NIRGraph") -> str:
    """Which variant a SpikeGPT graph is, by its structure. Raises UserError for other networks."""
    if "block0_att_key" not in graph.nodes or "head" not in graph.nodes:
        raise UserError("this graph is not a SpikeGPT: it has no node block0_att_key or head")
    if "block0_att_key_lif" in graph.nodes:
        return "spike-driven"
    return "canonical" if "block0_att_lif" in graph.nodes else "continuous"
