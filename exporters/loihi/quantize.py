"""Passes from a float NIR graph to one with int8 matrices; each returns a new graph and says what it preserves."""

from dataclasses import replace

import nir
import numpy as np

from exporters.nir import DT, check
from exporters.nir.wiring import Wiring
from hw_sim.fixed_point import THRESHOLD_LIMIT

WEIGHT_LIMIT = 127  # symmetric: -128 is not used


def quantize(graph: nir.NIRGraph) -> nir.NIRGraph:
    """All passes in order: int8 matrices with explicit scales, then scales folded into thresholds."""
    quantized = fold_scales_into_thresholds(round_matrices(graph))
    check(quantized, "int8 graph")
    return quantized


def round_matrices(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Round every matrix to symmetric int8 with one scale an output channel, followed by a Scale node that holds it.

    Changes weights by at most half a step, max |w| / 254 of the channel. The embedding stays a float table: a
    look-up has no synapses.
    """
    wiring, nodes, edges = Wiring(graph), dict(graph.nodes), list(graph.edges)
    for name, node in graph.nodes.items():
        fed_by_token = any(isinstance(graph.nodes[s], nir.Input) for s in wiring.sources[name])
        if not isinstance(node, nir.Linear) or fed_by_token:
            continue
        largest = np.abs(node.weight).max(axis=1)
        scale = np.where(largest > 0, largest / WEIGHT_LIMIT, 1.0).astype(np.float32)
        rounded = np.clip(np.rint(node.weight / scale[:, None]), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)
        nodes[name] = nir.Linear(rounded)
        nodes[f"{name}_scale"] = nir.Scale(scale)
        edges = [(f"{name}_scale" if a == name else a, b) for a, b in edges] + [(name, f"{name}_scale")]
    return nir.NIRGraph(nodes, edges, metadata={**graph.metadata, "precision": "int8"})


def fold_scales_into_thresholds(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Where spikes -> int8 matrix -> Scale -> LIF, drop the Scale and divide the threshold by it.

    Exact: a LIF without leak or reset potential is linear in its input, so it spikes at the same times. Left alone
    where the threshold would outgrow its 17-bit field.
    """
    wiring, nodes, edges = Wiring(graph), dict(graph.nodes), list(graph.edges)
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in edges:
        readers[a].append(b)
    for name, node in graph.nodes.items():
        sources = wiring.sources[name]
        if not isinstance(node, nir.LIF) or len(sources) != 1 or np.any(node.v_leak) or np.any(node.v_reset):
            continue
        (source,) = sources
        scale = graph.nodes[source]
        feeders = wiring.sources[source]
        if not isinstance(scale, nir.Scale) or readers[source] != [name] or len(feeders) != 1:
            continue
        matrix = graph.nodes[feeders[0]]
        if not isinstance(matrix, nir.Linear) or not wiring.spike_fed(feeders[0]) or np.any(scale.scale <= 0):
            continue
        threshold = node.v_threshold / scale.scale.astype(np.float64)
        if np.max(threshold * node.tau / DT) > THRESHOLD_LIMIT:
            continue
        nodes[name] = replace(node, v_threshold=threshold)
        del nodes[source]
        edges = [(a, b) for a, b in edges if a != source and b != source] + [(feeders[0], name)]
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata)
