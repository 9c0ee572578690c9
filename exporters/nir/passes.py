"""The passes that lower a translated model: each takes a graph and returns a new one, with one idea and one promise."""

from dataclasses import replace

import nir
import numpy as np

from hw_sim.graph.extensions import DT, LayerNorm, TokenShift, memoryless
from hw_sim.graph.wiring import Wiring

_FINITE = np.finfo(np.float32).min, np.finfo(np.float32).max
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


def merge_scales(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Multiply a Scale that reads nothing but Scales of its own into these: a norm's weight into the token shift.

    Preserves every value to the rounding of float32, every name but the merged Scale's.
    """
    wiring, nodes, edges = Wiring(graph), dict(graph.nodes), list(graph.edges)
    for name, outer in graph.nodes.items():
        sources = wiring.sources[name]
        own = all(isinstance(graph.nodes[s], nir.Scale) and wiring.readers[s] == [name] for s in sources)
        if not isinstance(outer, nir.Scale) or not sources or not own:
            continue
        for source in sources:
            nodes[source] = nir.Scale(nodes[source].scale * outer.scale)
        edges = [(a, b) for a, b in edges if name not in (a, b)]
        edges += [(source, reader) for source in sources for reader in wiring.readers[name]]
        del nodes[name]
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata)


def fold_gains_into_thresholds(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Drop a positive Scale in front of memoryless neurons and move their thresholds to where it would have put them.

    Preserves every spike: float32 products with a positive gain keep the order of inputs, so that there is a largest
    input whose product does not exceed the threshold, and it is the new one. Preserves names but the Scale's.
    """
    wiring, nodes, edges = Wiring(graph), dict(graph.nodes), list(graph.edges)
    for name, lif in graph.nodes.items():
        sources = wiring.sources[name]
        if not isinstance(lif, nir.LIF) or not memoryless(lif) or len(sources) != 1:
            continue
        (source,) = sources
        gain, feeders = graph.nodes[source], wiring.sources[source]
        if not isinstance(gain, nir.Scale) or np.any(gain.scale <= 0) or wiring.readers[source] != [name]:
            continue
        nodes[name] = replace(lif, v_threshold=largest_below(gain.scale, lif.v_threshold).astype(np.float64))
        del nodes[source]
        edges = [(a, b) for a, b in edges if source not in (a, b)] + [(feeder, name) for feeder in feeders]
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata)


def largest_below(gain: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """The largest float32 x with gain * x <= threshold in float32, for gain > 0, (n,) each."""
    gain, threshold = gain.astype(np.float32), threshold.astype(np.float32)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    with np.errstate(over="ignore"):
        x = np.clip(threshold / gain, *_FINITE)
        while np.any(above := (gain * x > threshold)):
            x = np.where(above, np.nextafter(x, down), x)
        while np.any(room := (gain * (higher := np.nextafter(x, up)) <= threshold) & (higher < up)):
            x = np.where(room, higher, x)
    return x


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


PASSES = (fold_embedding_norm, split_token_shift, merge_scales, fold_gains_into_thresholds, mark_spike_fed)
