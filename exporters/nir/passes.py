"""The passes that lower a translated model: each takes a graph and returns a new one, with one idea and one promise."""

from dataclasses import replace

import nir
import numpy as np

from hw_sim.graph.extensions import DT, LayerNorm, TokenShift
from hw_sim.graph.wiring import Wiring

ROWS = 256  # embedding rows normalised at a time, to bound memory


def fold_embedding_norm(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Fold a LayerNorm that alone reads the embedding into its table: a token is one-hot, so it selects a whole row.

    Preserves every value to the rounding of float32 (the table is normalised in float64), every name but the norm's.
    """
    wiring, nodes, edges = Wiring(graph), dict(graph.nodes), list(graph.edges)
    for name, norm in graph.nodes.items():
        if not isinstance(norm, LayerNorm) or len(wiring.sources[name]) != 1:
            continue
        (table,) = wiring.sources[name]
        if not wiring.embeds(table) or wiring.readers[table] != [name]:
            continue
        weight = graph.nodes[table].weight  # (d, V)
        folded = np.empty((weight.shape[1], weight.shape[0]), np.float32)
        for low in range(0, len(folded), ROWS):
            rows = weight[:, low : low + ROWS].T.astype(np.float64)
            centred = rows - rows.mean(axis=1, keepdims=True)
            variance = np.mean(centred * centred, axis=1, keepdims=True)
            folded[low : low + ROWS] = centred / np.sqrt(variance + norm.eps[0]) * norm.weight + norm.bias
        nodes[table] = nir.Linear(folded.T)
        del nodes[name]
        edges = [(table if a == name else a, b) for a, b in edges if b != name]
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata)


def split_token_shift(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Split every TokenShift into standard nodes: two Scales whose edges sum, one of them behind a Delay of one step.

    Preserves every value bit for bit; shifts of the same source share its Delay.
    """
    wiring, nodes, edges = Wiring(graph), dict(graph.nodes), list(graph.edges)
    for name, shift in graph.nodes.items():
        if not isinstance(shift, TokenShift):
            continue
        (source,) = wiring.sources[name]
        delay, now, before = f"{source.removesuffix('_ln')}_delay", f"{name}_now", f"{name}_before"
        if delay not in nodes:
            nodes[delay] = nir.Delay(np.full(shift.mix.shape, DT))
            edges.append((source, delay))
        nodes[now], nodes[before] = nir.Scale(shift.mix), nir.Scale(1 - shift.mix)
        edges = [(a, b) for a, b in edges if name not in (a, b)]
        edges += [(source, now), (delay, before)]
        edges += [(part, reader) for reader in wiring.readers[name] for part in (now, before)]
        del nodes[name]
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata)


def mark_spike_fed(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Note on every matrix whether structure makes each of its inputs a spike, for people who open the file elsewhere.

    Preserves nodes, edges and values; nothing here reads the note, as metadata carries no meaning in NIR.
    """
    wiring = Wiring(graph)
    marked = {
        name: replace(node, metadata={**node.metadata, "spike_fed": int(wiring.spike_fed(name))})
        for name, node in graph.nodes.items()
        if isinstance(node, nir.Linear)
    }
    return nir.NIRGraph({**graph.nodes, **marked}, graph.edges, metadata=graph.metadata)


PASSES = (fold_embedding_norm, split_token_shift, mark_spike_fed)
