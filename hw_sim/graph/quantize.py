"""Passes from a float NIR graph to one with int8 matrices; each returns a new graph and says what it preserves."""

from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np

from hw_sim.graph.check import check, width
from hw_sim.graph.extensions import DT, Offset
from hw_sim.graph.windows import CONVOLUTIONS
from hw_sim.graph.wiring import Wiring
from hw_sim.plan.fixed_point import THRESHOLD_LIMIT

BITS = 8  # of a weight by default: symmetric, -127 to 127


def quantize(graph: nir.NIRGraph, bits: int = BITS, prune: float = 0.0) -> nir.NIRGraph:
    """All passes in order: small weights zeroed, int8 matrices with explicit scales, scales folded into thresholds.

    `bits`, 2 to 8, and `prune`, a share, are those of the body; a head that reads real numbers stays off the chip
    and keeps 8 bits.
    """
    quantized = fold_scales_into_thresholds(round_matrices(prune_matrices(graph, prune), bits))
    check(quantized, "int8 graph")
    return quantized


def body(graph: nir.NIRGraph) -> list[str]:
    """The matrices but the embedding and a head: one that reads no spikes and whose output goes to the Output alone."""
    wiring, found = Wiring(graph), []
    for name, node in graph.nodes.items():
        ends = wiring.readers[name]
        while len(ends) == 1 and isinstance(graph.nodes[ends[0]], nir.Scale):
            ends = wiring.readers[ends[0]]
        is_head = all(isinstance(graph.nodes[end], nir.Output) for end in ends) and not wiring.spike_fed(name)
        if isinstance(node, nir.Linear) and not wiring.embeds(name) and not is_head:
            found.append(name)
    return found


def prune_matrices(graph: nir.NIRGraph, share: float) -> nir.NIRGraph:
    """Set floor(share * size) weights of every matrix of the body to zero: those of smallest magnitude, of equal ones
    the first. The graph itself for share 0."""
    if not share:
        return graph
    nodes = dict(graph.nodes)
    for name in body(graph):
        weight = graph.nodes[name].weight.copy()
        weight.flat[np.argsort(np.abs(weight), axis=None, kind="stable")[: int(share * weight.size)]] = 0
        nodes[name] = nir.Linear(weight)
    return nir.NIRGraph(nodes, list(graph.edges), metadata={**graph.metadata, "pruned": share}, type_check=False)


def round_matrices(graph: nir.NIRGraph, bits: int = BITS) -> nir.NIRGraph:
    """Round every matrix to symmetric integers with one scale an output channel, followed by a Scale that holds it.

    Integers of the body have `bits` bits, those of the head 8, all in int8: weights change by at most half a step,
    max |w| / (2^bits - 2) of the channel; a bias is added behind the Scale. The embedding stays a float table: a
    look-up has no synapses.
    """
    wiring, nodes, edges, on_chip = Wiring(graph), dict(graph.nodes), list(graph.edges), set(body(graph))
    for name, node in graph.nodes.items():
        if not isinstance(node, (nir.Linear, nir.Affine, *CONVOLUTIONS)) or wiring.embeds(name):
            continue
        limit = (1 << (bits if name in on_chip else BITS) - 1) - 1
        largest = np.abs(node.weight).reshape(len(node.weight), -1).max(axis=1)
        scale = np.where(largest > 0, largest / limit, 1.0).astype(np.float32)
        step = scale.reshape(-1, *(1,) * (node.weight.ndim - 1))
        nodes[name] = with_weight(node, np.clip(np.rint(node.weight / step), -limit, limit).astype(np.int8))
        scale = np.repeat(scale, width(node) // len(scale))
        behind = f"{name}_scale"
        while behind in nodes:  # any name may be another node's
            behind += "_"
        nodes[behind] = nir.Scale(scale)
        chain = [name, behind]
        bias = np.ravel(getattr(node, "bias", np.zeros(1)))
        if np.any(bias):
            last = f"{behind}_bias"
            while last in nodes:
                last += "_"
            nodes[last] = Offset(np.repeat(np.broadcast_to(bias, len(node.weight)), width(node) // len(node.weight)))
            chain.append(last)
        edges = [(chain[-1] if a == name else a, b) for a, b in edges] + list(pairwise(chain))
    metadata = {**graph.metadata, "precision": "int8", "body_bits": bits}
    return nir.NIRGraph(nodes, edges, metadata=metadata, type_check=False)


def with_weight(node: nir.NIRNode, weight: np.ndarray) -> nir.NIRNode:
    """A matrix or a convolution of other weights, its bias left out."""
    if not isinstance(node, CONVOLUTIONS):
        return nir.Linear(weight)
    other = replace(node, weight=weight, bias=np.zeros(len(weight), np.float32))
    other.input_type, other.output_type = node.input_type, node.output_type
    return other


def fold_scales_into_thresholds(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Where spikes -> int8 matrix -> Scale -> LIF, drop the Scale and divide the threshold by it.

    Exact: a LIF without leak or reset potential is linear in its input, so it spikes at the same times. Left alone
    where the threshold would outgrow its 17-bit field.
    """
    wiring, nodes, edges = Wiring(graph), dict(graph.nodes), list(graph.edges)
    for name, node in graph.nodes.items():
        sources = wiring.sources[name]
        if not isinstance(node, nir.LIF | nir.IF) or len(sources) != 1 or np.any(node.v_reset):
            continue
        if np.any(getattr(node, "v_leak", 0)):
            continue
        (source,) = sources
        scale = graph.nodes[source]
        feeders = wiring.sources[source]
        if not isinstance(scale, nir.Scale) or wiring.readers[source] != [name] or len(feeders) != 1:
            continue
        matrix = graph.nodes[feeders[0]]
        if not isinstance(matrix, (nir.Linear, *CONVOLUTIONS)) or not wiring.spike_fed(feeders[0]):
            continue
        if np.any(scale.scale <= 0):
            continue
        threshold = node.v_threshold / scale.scale.astype(np.float64)
        gain = node.r * DT if isinstance(node, nir.IF) else DT / node.tau
        if np.max(threshold / gain) > THRESHOLD_LIMIT:
            continue
        nodes[name] = replace(node, v_threshold=threshold)
        del nodes[source]
        edges = [(a, b) for a, b in edges if a != source and b != source] + [(feeders[0], name)]
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)
