"""What Python users call in a line: a model exported, or reported on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nir
import numpy as np

import spikegpt
from exporters import nir as exporter
from exporters.energy_report import Opened, opened, report_of
from exporters.targets import export_to
from hw_sim.energy.quality import TOKENS
from hw_sim.energy.schema import Report
from hw_sim.energy.settings import Settings
from spikegpt.corpus import Corpus, load_corpus
from spikegpt.errors import UserError
from spikegpt.shipped import resolved
from spikegpt.tokenizer import default_tokenizer


def export(model: Any, target: str, out: str | Path, *, force: bool = False, **own: Any) -> dict[str, Any]:
    """Export a model, a float NIR graph, or the file of either, to the folder `out`; returns the manifest.

    `target` is nir, onnx, torch, loihi or sanafe; `own` are the target's: `settings`, of `exporters.loihi.settings`,
    for the last two.
    An old export in `out` is replaced, whole or not at all, as `spikegpt export` does. Raises UserError for an unknown
    target and a model that does not fit it.

    >>> import tempfile
    >>> from spikegpt import Config, SpikeGPT
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(SpikeGPT(Config(256, 1, 8)), "nir", f"{folder}/out")["target"]
    'nir'
    """
    source = resolved(model) if isinstance(model, str | Path) else None
    held = model if source is None else exporter.read(source) if source.suffix == ".nir" else spikegpt.load(source)
    graph = held if isinstance(held, nir.NIRGraph) else exporter.export(held)
    if target == "torch":
        own["model"] = held
    return export_to(target, graph, Path(out), source, force=force, **own)


def energy(
    models: Any | Sequence[Any],
    data: str | Path | Corpus | None = None,
    *,
    split: str = "test",
    tokens: int = TOKENS,
    settings: Settings | None = None,
) -> Report:
    """The energy report of a SpikeGPT, or of several models of which it is the first, on part of a text.

    A model is a path, or a model in memory; `data` a text or None, the embedded one; `settings` those of
    `hw_sim.energy.settings`. Counts are exact, joules modelled: `report.row(name).energy_j` by price column,
    `report.comparisons`, `report.findings`, `to_html()`, `to_pandas()`. Raises UserError as `report_of` does.

    >>> found = energy("shipped:kjv", tokens=512)
    >>> found.subject.name, found.subject.synops < found.row("gpt-fp32").synops / 10
    ('spike-driven', True)
    """
    several = isinstance(models, Sequence) and not isinstance(models, str)
    held = [_opened(model) for model in (models if several else [models])]

    def part(model: Opened) -> tuple[Corpus, np.ndarray]:
        corpus = data if isinstance(data, Corpus) else load_corpus(None if data is None else str(data), model.tokenizer)
        return corpus, corpus.split(split)[:tokens]

    return report_of(held, part, settings)


def _opened(model: Any) -> Opened:
    if isinstance(model, str | Path):
        return opened(resolved(model))
    tokenizer = model.tokenizer or default_tokenizer(model.config.vocab_size)
    if tokenizer is None:
        raise UserError("a model does not say how text becomes its tokens")
    return Opened("(in memory)", model, tokenizer, None)
