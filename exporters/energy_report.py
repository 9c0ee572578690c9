"""The energy report of checkpoints in one call: each is lowered, run on a text and compared; the first in int8 too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exporters import nir as exporter
from exporters.loihi.mapping import CHIPS
from exporters.loihi.mapping.describe import footprint
from exporters.loihi.mapping.sites import declared_site, network_of, placed_sites
from exporters.loihi.mapping.timing import RECORDED
from hw_sim.energy.compressors import Compressed, compress
from hw_sim.energy.host import Host, side_by_side
from hw_sim.energy.measure import Measurement, measure, variant_of
from hw_sim.energy.quality import TOKENS, TextRead, text_read
from hw_sim.energy.report import build
from hw_sim.energy.schema import Report, Shape
from hw_sim.energy.settings import Settings, TransformerQuality
from hw_sim.graph.origin import SOURCE, facts_in, tokenizer_in, vocabulary
from hw_sim.graph.quantize import quantize
from hw_sim.run.ahead import integers_compiled
from hw_sim.run.simulator import Simulator
from spikegpt.config import TRANSFORMER
from spikegpt.corpus import Corpus, load_corpus
from spikegpt.errors import UserError
from spikegpt.folders import digest
from spikegpt.tokenizer import Tokenizer, default_tokenizer
from spikegpt.weights import find

if TYPE_CHECKING:
    import nir

HOST_TOKENS = 2048  # of them, for every run that is timed
Text = Callable[["Opened"], tuple[Corpus, np.ndarray]]  # a part of a text as the tokenizer of a model cuts it


@dataclass(frozen=True)
class Opened:
    """A checkpoint or `.nir` file, read once: a torch model or a graph, its tokenizer, and the file that it lies in."""

    path: str
    model: Any
    tokenizer: Tokenizer
    file: Path | None  # None: it was handed over in memory

    @property
    def is_transformer(self) -> bool:
        return hasattr(self.model, "config") and self.model.config.variant == TRANSFORMER

    @cached_property
    def graph(self) -> "nir.NIRGraph":
        return exporter.export(self.model) if hasattr(self.model, "config") else self.model

    @property
    def context(self) -> int | None:
        """Tokens of context that it was trained on, if it says so."""
        config = getattr(self.model, "config", None)
        stored = config.ctx_len if config else self.graph.metadata.get(f"{SOURCE}train_ctx")
        return int(stored) if isinstance(stored, int | float) and stored >= 1 else None

    @property
    def label(self) -> str:
        """The name of its run: the folder where the file is called as all runs call theirs."""
        if self.file is None:
            return self.model.config.variant
        return self.file.resolve().parent.name if self.file.stem in ("model", "last") else self.file.stem


def opened(path: str | Path) -> Opened:
    """Read a checkpoint or `.nir` file. Raises UserError for what is none, and for one without a tokenizer."""
    place = Path(path)
    if place.suffix == ".nir":
        model = exporter.read(place)
        known = tokenizer_in(model) or default_tokenizer(vocabulary(model, str(path)))
    else:
        import spikegpt

        place = find(place)
        model = spikegpt.load(place)
        known = model.tokenizer
    if known is None:
        raise UserError(f"{path}: the file does not say how text becomes its tokens")
    return Opened(str(path), model, known, place)


def embedded(model: Opened) -> tuple[Corpus, np.ndarray]:
    """The first tokens of the embedded text's test part."""
    corpus = load_corpus(None, model.tokenizer)
    return replace(corpus, name=f"{corpus.name}, test part"), corpus.split("test")[:TOKENS]


def report_of(
    models: Sequence[Opened | str],
    text: Text = embedded,
    settings: Settings | None = None,
    *,
    names: Sequence[str] = (),
    placement: Path | None = None,
    compressors: bool = False,
    host: bool = False,
    provenance: dict[str, Any] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """Run SpikeGPTs, and Transformers for their quality, on the same text and compare the first with all others.

    `names` are those of the rows, in the order of `models`; by default a row is named after its variant, and after its
    run where there are several. `settings` that name no context take the one the first model was trained on.
    `placement` is a mapping.json of the first; `compressors` adds classical ones on the text, `host` what this machine
    takes to run the first model here and in PyTorch.
    Raises UserError for a file that is no model, for two rows of one name, without a SpikeGPT, and for a placement of
    another network.
    """
    given = [m if isinstance(m, Opened) else opened(m) for m in models]
    first = next((m for m in given if not m.is_transformer), None)
    if first is None:
        raise UserError("a report needs a SpikeGPT; a Transformer only adds its quality to the row gpt-fp32")
    settings = settings or Settings()
    if first.context:
        settings = replace(settings, trained_context=first.context)
    runs, qualities, facts = list[Measurement](), list[TransformerQuality](), dict(provenance or {})
    with integers_compiled():
        for i, (m, name) in enumerate(zip(given, row_names(given, names), strict=True)):
            corpus, part = text(m)
            if m is first:
                facts |= facts_in(m.graph) | {"text": corpus.name, "text_sha256": corpus.sha256}
                read = text_read(corpus.name, corpus.sha256, corpus.tokens, part, m.tokenizer)
                classical = compressed(corpus, read, part, m.tokenizer) if compressors else ()
            if m.is_transformer:
                qualities.append(quality_of(m, name, part))
            else:
                runs.append(run(m, m.graph, name, part, progress))
            facts[f"model_{i + 1}"] = f"{name}: {m.path}" + (f", sha256 {digest(m.file)}" if m.file else "")
    own = runs[0]
    facts["part_sha256"] = own.text_sha256
    int8 = run(first, quantize(first.graph), f"{own.work.name}-int8", own.tokens, progress)
    chips = {}
    if own.work.spiking:
        spikes = Simulator(int8.plan).run(own.tokens[:RECORDED], record=True).spikes
        chips = {chip: footprint(int8.plan, chip, int8.counts, spikes) for chip in CHIPS}
    sites = placed_sites(chips)
    if placement:
        technologies = {p.technology for p in settings.priced.values()}
        sites |= declared_site(placement, network_of(int8.plan, int8.counts), technologies)
    settings = replace(
        settings, footprints=tuple(f.facts for f in chips.values()), qualities=tuple(qualities), sites=sites
    )
    timed = measure_host(first, own.tokens[:HOST_TOKENS]) if host else None
    return build(runs, settings, int8=int8, provenance=facts, text=read, compressors=classical, host=timed)


def compressed(corpus: Corpus, read: TextRead, part: np.ndarray, tokenizer: Tokenizer) -> tuple[Compressed, ...]:
    """Classical compressors on the part that was read, after the training part where it lies behind that."""
    training = corpus.split("train")
    return compress(tokenizer.decode(part), tokenizer.decode(training) if read.offset >= len(training) else None)


def measure_host(m: Opened, tokens: np.ndarray) -> Host:
    """What this machine takes to run a model on `tokens`: the simulator in float32 and in int8, and PyTorch."""
    runs: dict[str, Callable[[], object]] = {
        name: partial(run_afresh, Simulator.from_nir(graph), tokens)
        for name, graph in (("simulator, float32", m.graph), ("simulator, int8", quantize(m.graph)))
    }
    if hasattr(m.model, "config"):
        from spikegpt.evaluation import evaluate

        runs["PyTorch, float32"] = partial(evaluate, m.model, tokens, streams=1)
    return side_by_side(runs, len(tokens))


def run_afresh(simulator: Simulator, tokens: np.ndarray) -> None:
    simulator.reset()
    simulator.run(tokens)


def run(m: Opened, graph: "nir.NIRGraph", name: str, part: np.ndarray, progress: Callable[[int], None]) -> Measurement:
    """A graph of a model on a text. Raises UserError where the model was quantised before."""
    if graph is m.graph and "precision" in graph.metadata:
        raise UserError(
            f"{m.path} holds int8 matrices; pass the checkpoint or its float .nir file, which is priced in int8 too "
            f"(--placement names a Loihi export whose mapping is priced)"
        )
    return measure(graph, name, variant_of(graph), part, m.tokenizer, progress, m.path)


def quality_of(m: Opened, name: str, part: np.ndarray) -> TransformerQuality:
    """Bits per byte of a trained Transformer on the same text, in one stream."""
    from spikegpt.evaluation import evaluate

    cfg = m.model.config
    bits = evaluate(m.model, part, streams=1).bits_per_byte
    if bits is None:
        raise UserError(f"{m.path}: its tokens do not say how many bytes they stand for")
    return TransformerQuality(name, Shape(cfg.n_layer, cfg.n_embd, cfg.vocab_size), bits, len(part), m.path)


def row_names(models: Sequence[Opened], given: Sequence[str]) -> list[str]:
    """A name for each model: as given, else its variant, with its run behind it where variants repeat.

    Raises UserError where names are too many or too few, repeat, or are those of rows that every report has.
    """
    if given:
        if len(given) != len(models):
            raise UserError(
                f"--name was given {len(given)} times for {len(models)} models; one for each, in their order"
            )
        names = list(given)
    else:
        variants = [TRANSFORMER if m.is_transformer else variant_of(m.graph) for m in models]
        labels = distinct([m.path for m in models], [m.label for m in models])
        names = [v if variants.count(v) == 1 else f"{v} ({label})" for v, label in zip(variants, labels, strict=True)]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"{repeated!r} would name two rows; tell them apart with --name")
    reserved = next((n for n in given if n.startswith("gpt-") or n.endswith(("-int8", "-ternary"))), None)
    if reserved is not None:
        raise UserError(f"--name {reserved!r} is kept for rows that every report has")
    return names


def distinct(paths: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Labels that repeat, with as much of their paths as tells them apart."""
    parts = [Path(p).resolve().with_suffix("").parts for p in paths]
    found = []
    for own, label in zip(parts, labels, strict=True):
        rivals = [other for other, name in zip(parts, labels, strict=True) if name == label and other != own]
        n = next((n for n in range(1, len(own)) if all(own[-n:] != other[-n:] for other in rivals)), 1)
        found.append(label if not rivals else "/".join(own[-n:]))
    return found
