"""What several commands read: a checkpoint or `.nir` file, and a part of a text as tokens."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from spikegpt.corpus import CHARACTERS, Corpus, load_corpus
from spikegpt.errors import UserError
from spikegpt.tokenizer import Bytes, Tokenizer, default_tokenizer, read_tokenizer

if TYPE_CHECKING:
    import nir


@contextmanager
def progress_bar(label: str, total: int | None, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal that vanishes when done; gives the function that advances it."""
    from rich.progress import Progress

    with Progress(transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


def load_graph(path: str) -> "nir.NIRGraph":
    """The float NIR graph of a checkpoint, the graph in a `.nir` file as it is, or the int8 graph of a Loihi export.

    Raises UserError for a folder that is not such an export.
    """
    from exporters import nir as exporter

    if Path(path).is_dir():
        from exporters.loihi.bundle import INT8_GRAPH
        from exporters.manifest import read_manifest

        read_manifest(Path(path), "loihi")
        return exporter.read(Path(path) / INT8_GRAPH)
    if path.endswith(".nir"):
        return exporter.read(path)
    import spikegpt

    return exporter.export(spikegpt.load(path))


data_option = click.option(
    "--data",
    type=str,
    help="A text (also .xz, .zip, .jsonl.zst), a folder of `spikegpt tokenize`, or a .bin with its .idx; default: the "
    "embedded King James Bible.",
)
tokenizer_option = click.option(
    "--tokenizer",
    type=str,
    help='"bytes", "characters", or a JSON file of the `tokenizers` library or of the released code.',
)
split_option = click.option(
    "--split",
    type=click.Choice(["train", "valid", "test", "all"]),
    help="Part of the text; default: test of the embedded text, all of a --data file.",
)
lava_python_option = click.option(
    "--lava-python",
    type=str,
    metavar="PATH",
    help="Python interpreter that has lava-nc and numpy, such as the 3.10 of a Loihi host; default: this one.",
)


def named_tokenizer(name: str | None) -> Tokenizer | str | None:
    """What --tokenizer names; None and "bytes" are bytes."""
    if name in (None, "bytes", CHARACTERS):
        return None if name != CHARACTERS else CHARACTERS
    return read_tokenizer(name)


def known_tokenizer(tokenizer: Tokenizer | None, path: Path | str) -> Tokenizer:
    """The tokenizer of a model. Raises UserError where nobody said which."""
    if tokenizer is None:
        raise UserError(f"{path}: the file does not say how text becomes its tokens; name --tokenizer FILE.json")
    return tokenizer


def tokenizer_of(path: str, graph: "nir.NIRGraph", named: str | None) -> Tokenizer:
    """How text becomes a model's tokens. Raises UserError where nobody said."""
    return known_tokenizer(tokenizer_if_known(path, graph, named), path)


def tokenizer_if_known(path: str, graph: "nir.NIRGraph", named: str | None) -> Tokenizer | None:
    """The tokenizer as named, as a model's checkpoint says, else bytes where a graph has 256 inputs, else None."""
    if not path.endswith(".nir") and not Path(path).is_dir():
        from spikegpt import checkpoint

        return checkpoint.tokenizer_of(checkpoint.read(path), named)
    if named is not None:
        return Bytes() if named == "bytes" else read_tokenizer(named)
    inputs = [node for node in graph.nodes.values() if type(node).__name__ == "Input"]
    return default_tokenizer(int(inputs[0].output_type["output"][0]))


def load_text(
    data: str | None, split: str | None, tokens: int | None, tokenizer: Tokenizer | None = None
) -> tuple[Corpus, np.ndarray]:
    """A part of a text, named after both, and its first `tokens` tokens as its tokenizer cuts (default: bytes).

    Tokens have the corpus's unsigned type and may be mapped from a file: a long text is not copied.
    """
    corpus = load_corpus(data, tokenizer)
    split = split or ("test" if data is None else "all")
    part = corpus.tokens if split == "all" else corpus.split(split)
    if len(part) < 2:
        raise UserError(f"{corpus.name}: {len(part)} tokens are too few, at least 2 are needed")
    name = corpus.name if split == "all" else f"{corpus.name}, {split} part"
    return replace(corpus, name=name), part[:tokens]
