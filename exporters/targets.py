"""The deployment targets, registered by name: each writes one directory from a float NIR graph, whole or not at all."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nir
import numpy as np

from exporters.loihi.settings import REPLAYED, TOKENS
from exporters.manifest import KIND
from exporters.nir import write
from exporters.nir.segments import write_segments
from hw_sim.graph.origin import facts_in
from hw_sim.graph.wiring import Wiring
from spikegpt import __version__
from spikegpt.corpus import load_corpus
from spikegpt.errors import UserError
from spikegpt.folders import digest, new_folder

RECORDED = 128  # tokens of real text that the segments are recorded on


@dataclass(frozen=True)
class Target:
    """A name for the command line, what it supports, and the function (graph, folder, own settings) that fills a
    directory. `chip` is the one that it maps onto unless the user names another, None where it maps onto none;
    `tokens` is how much of a text it is then measured on."""

    name: str
    supports: str
    fill: Callable[..., dict]
    chip: str | None = None
    tokens: int = 0


def fill_nir(graph: nir.NIRGraph, folder: Path) -> dict:
    """model.nir, the complete float model, and its spiking stretches as portable files with recorded spikes."""
    write(graph, folder / "model.nir")
    wiring = Wiring(graph)
    synapses = {n: x.weight.size for n, x in graph.nodes.items() if isinstance(x, nir.Linear) and not wiring.embeds(n)}
    corpus = load_corpus(None)
    (token,) = [node for node in graph.nodes.values() if isinstance(node, nir.Input)]
    tokens = corpus.split("test")[:RECORDED].astype(np.int64) % int(token.output_type["output"][0])
    segments = write_segments(graph, tokens, folder / "segments")
    return {
        "nodes": len(graph.nodes),
        "synapses": sum(synapses.values()),
        "synapses_in_segments": sum(facts["synapses"] for facts in segments.values()),
        "recorded_on": f"bytes as tokens, first {RECORDED} of the test part of {corpus.name}",
        "segments": segments,
    }


def fill_onnx(graph: nir.NIRGraph, folder: Path) -> dict:
    """The float model and the one with int8 matrices; each for one token a call and for whole texts."""
    from exporters.onnx_model import write_onnx
    from hw_sim.graph.quantize import quantize  # here, as numba and onnx would weigh on the other targets' memory

    return {"float32": write_onnx(graph, folder), "int8": write_onnx(quantize(graph), folder, "-int8")}


def fill_torch(graph: nir.NIRGraph, folder: Path, model: Any = None) -> dict:
    """The one-token step of the torch model that the graph came from, as a torch.export program."""
    from exporters.torch_program import write_program

    return write_program(model, folder)


def fill_loihi(graph: nir.NIRGraph, folder: Path, settings: Any = None) -> dict:
    """The int8 graph, its integer plan, the Lava processes that run it and its mapping onto a chip's cores."""
    from exporters.loihi.bundle import write_bundle
    from exporters.loihi.settings import Settings

    return write_bundle(graph, folder, settings or Settings())


def fill_sanafe(graph: nir.NIRGraph, folder: Path, settings: Any = None) -> dict:
    """The int8 network on the cores of Loihi 1 for SANA-FE, which repeats our times and joules."""
    from exporters.loihi.settings import Settings
    from exporters.sanafe import write_sanafe

    return write_sanafe(graph, folder, settings or Settings(chip="loihi1"))


TARGETS = {
    target.name: target
    for target in (
        Target("nir", "all variants: the complete float model in NIR, spiking segments for other tools", fill_nir),
        Target("onnx", "all variants: one-token step with state, T-token form, float32 and int8 weights", fill_onnx),
        Target("torch", "checkpoints of all variants: one-token step with state, a torch.export program", fill_torch),
        Target(
            "loihi",
            "all variants: int8 NIR, Lava processes that run alone, lava-dl layers, mapping (Lava is archived)",
            fill_loihi,
            chip="loihi2",
            tokens=TOKENS,
        ),
        Target(
            "sanafe",
            "what fits one Loihi 1: its cores, synapses and recorded spikes for SANA-FE, which repeats our figures",
            fill_sanafe,
            chip="loihi1",
            tokens=REPLAYED,
        ),
    )
}


def check_float(graph: nir.NIRGraph) -> None:
    """Raise UserError for a graph that no target takes: int8 already, or not from one token to one output."""
    wiring = Wiring(graph)
    for kind in (nir.Input, nir.Output):
        if sum(isinstance(node, kind) for node in graph.nodes.values()) != 1:
            raise UserError(f"the graph needs exactly one {kind.__name__} to be exported")
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Linear) and node.weight.dtype.kind != "f" and not wiring.embeds(name):
            raise UserError(f"node {name!r} holds {node.weight.dtype} weights; export from the float model")


def export_to(
    name: str, graph: nir.NIRGraph, out: Path, source: Path | None = None, *, force: bool = False, **own: Any
) -> dict:
    """Fill `out` for a target and add manifest.json; returns the manifest. An old `out` survives any failure.

    `source` is the file that the graph came from; the manifest names it with its digest. `own` goes to the target's
    function: `settings` of exporters.loihi.settings for loihi. Raises UserError for an unknown target, a model that
    does not fit it, and as `folders.check` where `out` holds what must not be replaced (`force`: what may).
    """
    if name not in TARGETS:
        raise UserError(f"target {name!r} is not one of {', '.join(TARGETS)}")
    check_float(graph)
    with new_folder(out, KIND, force=force, reads=[source] if source else []) as new:
        new.facts |= {
            "target": name,
            "spikegpt": __version__,
            "versions": {package: version(package) for package in ("nir", "numpy")},
            "source": facts_in(graph),
            **({"checkpoint": {"file": source.name, "sha256": digest(source)}} if source else {}),
            **TARGETS[name].fill(graph, new.path, **own),
        }
    return new.manifest
