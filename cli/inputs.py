"""What several commands read: a checkpoint or `.nir` file, and a part of a text as tokens."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cli.options import UNSAID, UNTOLD, Step, Taken
from exporters.manifest import network_of
from spikegpt.corpus import Corpus, load_corpus
from spikegpt.errors import Notice, UserError
from spikegpt.escape import printable
from spikegpt.tokenizer import Tokenizer, default_tokenizer
from spikegpt.tokenizer_files import CHARACTERS, agreed, read_tokenizer
from spikegpt.weights import EXPORT, find

if TYPE_CHECKING:
    import nir

    from hw_sim.graph.recordings import Recording


def load_record(path: str | Path, taken: Taken = UNTOLD) -> dict:
    """The record of a checkpoint, read as the user said. Raises UserError where it says otherwise itself."""
    from spikegpt import checkpoint

    record = checkpoint.read(path, variant=taken.variant, binary_embedding=taken.binary)
    own = {"variant": taken.variant, "binary_embedding": None if taken.embedding is None else taken.binary}
    for key, named in own.items():
        if named is not None and not record.get("inferred") and record["config"].get(key) != named:
            option = "--variant" if key == "variant" else "--embedding"
            raise UserError(f"{path}: it says itself {key} = {record['config'].get(key)}; leave {option} away")
    return record


def load_model(path: str | Path, taken: Taken = UNTOLD, tokenizer: str | None = None) -> Any:
    """The model of a checkpoint. Raises UserError as `load_record` and `spikegpt.load` do."""
    from spikegpt import checkpoint

    return checkpoint.from_record(load_record(path, taken), path, tokenizer)


def load_graph(path: str, taken: Taken = UNTOLD, tokenizer: str | None = None) -> "nir.NIRGraph":
    """The float NIR graph of a checkpoint, the graph in a `.nir` file as it is, or the int8 graph of a Loihi export.

    It is told the tokenizer, where somebody knows. Raises UserError for a folder that is no such export, and for a
    network that is no language model.
    """
    from exporters import nir as exporter
    from hw_sim.graph.origin import vocabulary, with_tokenizer

    if not is_lowered(path):
        return exporter.export(load_model(path, taken, tokenizer))
    if taken != UNTOLD:
        raise UserError(f"{path}: --variant and --embedding are of a checkpoint; a .nir file says itself what it is")
    graph = exporter.read(lowered_file(path))
    vocabulary(graph, path)
    if tokenizer is not None:
        with_tokenizer(graph, tokenizer_of(path, graph, tokenizer))
    return graph


def lowered_file(path: str) -> Path:
    """The `.nir` file that a path means: itself, or that of an exported folder. Raises UserError without one."""
    return network_of(Path(path)) if Path(path).is_dir() else Path(path)


def is_lowered(path: str) -> bool:
    """Whether a path is an exported folder or a `.nir` file, rather than a checkpoint."""
    place = Path(path)
    return (place / EXPORT).is_file() if place.is_dir() else place.suffix == ".nir"


def network_in(path: str, step: Step, taken: Taken) -> "nir.NIRGraph | None":
    """The network that a path holds where that is no language model, in steps as the user said; else None.

    Raises UserError for options that say nothing of what the path holds.
    """
    from hw_sim.graph.files import load
    from hw_sim.graph.foreign import read_foreign
    from hw_sim.graph.origin import vocabulary

    network = None
    if is_lowered(path):
        try:
            vocabulary(load(lowered_file(path)), path)
        except UserError:
            network = read_foreign(lowered_file(path), step.dt, step.convention)  # which says what else is wrong
    if network is None and step != UNSAID:
        raise UserError(f"{path}: --dt and --convention are of another tool's network; this is a SpikeGPT")
    if network is not None and taken != UNTOLD:
        raise UserError(f"{path}: --variant and --embedding are of a checkpoint; a .nir file says itself what it is")
    return network


def taken_for_events(network: "nir.NIRGraph", recorded: "Recording", path: str | Path) -> bool:
    """Whether inputs are spikes: as the recording says, else by their values, and then a Notice says so."""
    from hw_sim.counts.networks import are_events

    events, notes = are_events(network, recorded.inputs, recorded.events)
    for note in notes:
        warnings.warn(f"{path}: {note}", Notice, stacklevel=2)
    return events


def source_of(model: str) -> Path:
    """The file that a model is in: a manifest names it with its digest."""
    return lowered_file(model) if is_lowered(model) else find(Path(model))


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
    """The tokenizer that a graph was told, else the one named, else bytes where it has 256 inputs, else None.

    Raises UserError where the one named is another than the model's own.
    """
    from hw_sim.graph.origin import tokenizer_in, vocabulary

    vocab = vocabulary(graph, path)
    return agreed(tokenizer_in(graph), named, vocab) or default_tokenizer(vocab)


@dataclass(frozen=True)
class Learned:
    """The text that a model learned from, by name and sha256 (None where it does not say); `path` names the model."""

    path: str
    text: str | None = None
    sha256: str | None = None

    @classmethod
    def by_graph(cls, path: str, graph: "nir.NIRGraph") -> "Learned":
        from hw_sim.graph.origin import text_in

        return cls(path, *(text_in(graph) or ()))

    @classmethod
    def by_model(cls, path: str | Path, model: Any) -> "Learned":
        return cls(str(path), model.provenance.get("text"), model.provenance.get("text_sha256"))


def load_text(
    data: str | None,
    split: str | None,
    tokens: int | None,
    tokenizer: Tokenizer | None = None,
    learned: Learned | None = None,
) -> tuple[Corpus, np.ndarray]:
    """A part of a text, named after both, and its first `tokens` tokens as its tokenizer cuts (default: bytes).

    Tokens have the corpus's unsigned type and may be mapped from a file: a long text is not copied. Raises UserError
    where no text is named and the model did not learn from the embedded one, and for tokens that are not the
    tokenizer's; a Notice says where the part holds text that the model learned from.
    """
    if data is None and learned is not None:
        require_embedded(learned)
    corpus = load_corpus(data, tokenizer)
    own = learned if learned is not None and corpus.sha256 == learned.sha256 else None
    split = split or ("test" if data is None or own else "all")
    part = corpus.split(split)
    if len(part) < 2:
        raise UserError(f"{corpus.name}: {len(part)} tokens are too few, at least 2 are needed")
    if own and split in ("all", "train"):
        text = f"{own.path} learned from this text: the figures of its part {split!r} are not those of unseen text"
        warnings.warn(f"{text}; --split test names what it never saw", Notice, stacklevel=2)
    name = corpus.name if split == "all" else f"{corpus.name}, {split} part"
    part = part[:tokens]
    if tokenizer is not None and int(part.max()) >= tokenizer.vocab_size:
        at = int(np.argmax(part >= tokenizer.vocab_size))
        raise UserError(
            f"{corpus.name}: token {int(part[at])} (at {at:,}) is beyond the {tokenizer.vocab_size:,} of the "
            f"tokenizer: the two do not belong together"
        )
    return replace(corpus, name=name), part


def require_embedded(learned: Learned) -> None:
    """Raise UserError unless the embedded text is the one that a model learned from; a Notice where nobody says."""
    if learned.sha256 is None:
        text = "does not say what it learned from: measured on the embedded King James Bible; --data names another text"
        warnings.warn(f"{learned.path} {text}", Notice, stacklevel=2)
    elif learned.sha256 != load_corpus().sha256:
        raise UserError(
            f"{learned.path} learned from another text than the embedded one ({printable(learned.text)}): name --data "
            f"(--data kjv for the embedded King James Bible)"
        )
