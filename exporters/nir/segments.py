"""The spiking stretches of a graph as strict, portable NIR files, with what they read and sent on a real text.

A segment is a flat chain Input, Affine or LIF .., Output, in the one convention that snnTorch, norse and SpikingJelly
read alike at dt = 1e-4: Affine with zero bias, r = 1, no leak, reset to zero, one time constant and one threshold a
population. Memoryless neurons at the head of a chain with a threshold each are given their input in units of it.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np

from hw_sim.graph.extensions import DT, memoryless
from hw_sim.graph.files import write
from hw_sim.graph.reference import run
from hw_sim.graph.wiring import NEURONS, Wiring
from spikegpt import files

# SpikingJelly wants tau > dt. At tau = dt (1 + 2^-40) a membrane keeps 1e-12 of itself: nothing, in float32.
SHORTEST = DT * (1 + 2.0**-40)


@dataclass(frozen=True)
class Segment:
    """The names along one chain, in order, and the weights that its matrices hold."""

    chain: tuple[str, ...]
    synapses: int

    @property
    def name(self) -> str:
        return self.chain[0].removesuffix("_lif")


def cut(graph: nir.NIRGraph) -> tuple[Segment, ...]:
    """The longest chains of matrices and LIFs whose inner edges are their nodes' only ones, with at least one of each.

    The embedding is not cut out: what reads it is no spike.
    """
    wiring = Wiring(graph)
    links = {
        name: readers[0]
        for name, readers in wiring.readers.items()
        if len(readers) == 1 and wiring.sources[readers[0]] == [name]
        if _links(graph, wiring, name) and _links(graph, wiring, readers[0])
    }
    found = []
    for first in sorted(links.keys() - set(links.values())):
        chain = [first]
        while chain[-1] in links:
            chain.append(links[chain[-1]])
        matrices = [graph.nodes[n].weight.size for n in chain if isinstance(graph.nodes[n], nir.Linear)]
        if matrices and len(matrices) < len(chain):
            found.append(Segment(tuple(chain), sum(matrices)))
    return tuple(found)


def _links(graph: nir.NIRGraph, wiring: Wiring, name: str) -> bool:
    return isinstance(graph.nodes[name], nir.LIF | nir.Linear) and not wiring.embeds(name)


def portable(graph: nir.NIRGraph, segment: Segment) -> nir.NIRGraph:
    """One segment as a graph of its own; weights are views of the whole graph's."""
    inner = {name: _portable_node(graph.nodes[name]) for name in segment.chain}
    first = segment.chain[0]
    if has_own_thresholds(graph.nodes[first]):
        inner[first] = replace(inner[first], v_threshold=np.ones_like(inner[first].v_threshold))
    ends = inner[segment.chain[0]], inner[segment.chain[-1]]
    nodes = {
        "input": nir.Input({"input": np.array(ends[0].input_type["input"])}),
        **inner,
        "output": nir.Output({"output": np.array(ends[1].output_type["output"])}),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)))


def has_own_thresholds(node: nir.NIRNode) -> bool:
    """Whether these are memoryless neurons whose thresholds, all positive, differ."""
    if not isinstance(node, nir.LIF) or not memoryless(node):
        return False
    return bool(np.ptp(node.v_threshold) > 0 and np.min(node.v_threshold) > 0)


def _portable_node(node: nir.NIRNode) -> nir.NIRNode:
    if isinstance(node, nir.Linear):
        return nir.Affine(node.weight, np.zeros(len(node.weight), node.weight.dtype))
    return nir.LIF(
        np.maximum(node.tau, SHORTEST), node.r, node.v_leak, v_threshold=node.v_threshold, v_reset=node.v_reset
    )


def write_segments(graph: nir.NIRGraph, tokens: np.ndarray, folder: Path) -> dict[str, dict]:
    """Write every segment of a SpikeGPT graph and, beside it, its record on tokens (T,); returns facts by file.

    A record is a `.npz` of `input` (T, n) and `output` (T, m), float32, and under the name of each population its
    spikes (T, n), uint8. `closest_to_threshold` is the least |v - threshold| seen by a memoryless population: the room
    that another order of additions has before a spike flips.
    """
    segments = cut(graph)
    if not segments:
        return {}
    folder.mkdir(parents=True)
    place = {name: segment for segment in segments for name in segment.chain}
    records: dict[str, dict[str, np.ndarray]] = {segment.name: {} for segment in segments}
    margins: dict[str, list[float]] = {segment.name: [] for segment in segments}
    facts = {}

    def see(name: str, x: np.ndarray, y: np.ndarray) -> None:
        if name not in place:
            return
        segment, node = place[name], graph.nodes[name]
        record = records[segment.name]
        if name == segment.chain[0]:
            record["input"] = x / node.v_threshold.astype(np.float32) if has_own_thresholds(node) else x
        if isinstance(node, NEURONS):
            record[name] = y.astype(np.uint8)
            if memoryless(node):
                margins[segment.name].append(float(np.abs(x - node.v_threshold).min()))
        if name == segment.chain[-1]:
            record["output"] = y
            path = folder / f"{segment.name}.npz"
            files.write(path, partial(_save, records.pop(segment.name)))
            write(portable(graph, segment), path.with_suffix(".nir"))
            populations = [n for n in segment.chain if isinstance(graph.nodes[n], NEURONS)]
            facts[segment.name] = {"synapses": segment.synapses, "populations": populations}
            if margins[segment.name]:
                facts[segment.name]["closest_to_threshold"] = min(margins[segment.name])

    run(graph, tokens, see, place)
    return dict(sorted(facts.items()))


def _save(record: dict[str, Any], sink: Any) -> None:
    np.savez(sink, **record)
