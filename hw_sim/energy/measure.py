"""One model on one text: its counts, its quality, and the class of every matrix input."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import nir
import numpy as np

from hw_sim.counts.counts import Result
from hw_sim.energy import work
from hw_sim.energy.work import Work
from hw_sim.graph import reference
from hw_sim.graph.wiring import Wiring
from hw_sim.run.simulator import Simulator
from hw_sim.run.streams import next_token_nats
from spikegpt.tokenizer import Tokenizer

OBSERVED_TOKENS = 64  # enough to see the class of an input; the reference that shows it is slow


@dataclass(frozen=True)
class Shape:
    """Layers, width and vocabulary."""

    n_layer: int
    d: int
    vocab: int


@dataclass(frozen=True)
class Measurement:
    """A model run on a text; `observed` is the share of zeros, zeros or ones, and whole numbers at matrix inputs."""

    name: str  # of its row
    variant: str
    shape: Shape
    work: Work
    bits_per_byte: float | None
    result: Result
    observed: dict[str, dict[str, float]]


def measure(
    graph: nir.NIRGraph,
    name: str,
    variant: str,
    tokens: np.ndarray,
    tokenizer: Tokenizer,
    progress: Callable[[int], None] = lambda done: None,
) -> Measurement:
    """Run `tokens` (T,) through a graph from an empty state; raises UserError as the simulator does."""
    simulator = Simulator.from_nir(graph)
    result = simulator.run(tokens, progress=progress)
    return Measurement(
        name,
        variant,
        shape_of(result),
        work.measured(name, simulator.plan, result),
        bits_per_byte(result.logits, tokens, tokenizer),
        result,
        {} if simulator.plan.integer else observe(graph, tokens[:OBSERVED_TOKENS]),
    )


def shape_of(result: Result) -> Shape:
    """Read the shape off the matrices of a run."""
    head = next(m for m in result.matrices if m.name == "head")
    layers = sum(m.name.endswith("_att_key") for m in result.matrices)
    return Shape(layers, head.fan_in, head.fan_out)


def bits_per_byte(logits: np.ndarray, tokens: np.ndarray, tokenizer: Tokenizer) -> float:
    """-log2 p of every token after the first, for logits (T, V) given at tokens (T,), over the bytes they stand for."""
    return next_token_nats(logits[:-1], tokens[1:]) / math.log(2) / len(tokenizer.decode(tokens[1:]))


def observe(graph: nir.NIRGraph, tokens: np.ndarray) -> dict[str, dict[str, float]]:
    """What matrix inputs look like by their values alone; a dead layer looks binary, so structure decides the class."""
    wiring = Wiring(graph)
    seen: dict[str, dict[str, float]] = {}

    def see(name: str, drive: np.ndarray, out: np.ndarray) -> None:
        if isinstance(graph.nodes[name], nir.Linear) and not wiring.embeds(name):
            seen[name] = {
                "zeros": float((drive == 0).mean()),
                "binary": float(((drive == 0) | (drive == 1)).mean()),
                "integers": float((drive == np.round(drive)).mean()),
            }

    reference.run(graph, tokens, see)
    return seen
