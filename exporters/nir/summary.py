"""What a graph holds, node by node and block by block, for people and for machines."""

import re
from typing import Any

import nir
import numpy as np

from exporters.nir.segments import cut
from hw_sim.graph.check import width
from hw_sim.graph.wiring import NEURONS, Wiring

REST = "outside blocks"


def block_of(name: str) -> str:
    """The block that a node belongs to by its name, e.g. block3 for block3_att_key."""
    found = re.match(r"block\d+(?=_)", name)
    return found.group() if found else REST


def describe(graph: nir.NIRGraph) -> dict[str, list[dict[str, Any]]]:
    """By block, in order: its nodes in the order they run.

    Of each node: name, type, width_in, width_out, `values` it stores (0 for neurons, whose parameters are one constant
    repeated), `neurons`, `synapses`, `spiking` (puts out spikes), `spike_fed` (a matrix that reads spikes), `portable`
    (part of a segment that other tools run).
    """
    wiring = Wiring(graph)
    in_segments = {name for segment in cut(graph) for name in segment.chain}
    blocks: dict[str, list[dict[str, Any]]] = {}
    for name in wiring.order:
        node = graph.nodes[name]
        matrix = isinstance(node, nir.Linear | nir.Affine) and not wiring.embeds(name)
        facts = {
            "name": name,
            "type": type(node).__name__,
            "width_in": width(node, "input"),
            "width_out": width(node),
            "values": 0 if isinstance(node, NEURONS) else _values(node),
            "neurons": width(node) if isinstance(node, NEURONS) else 0,
            "synapses": node.weight.size if matrix else 0,
            "spiking": name in wiring.spiking,
            "spike_fed": matrix and wiring.spike_fed(name),
            "portable": name in in_segments,
        }
        blocks.setdefault(block_of(name), []).append(facts)
    return dict(sorted(blocks.items(), key=lambda item: (len(item[0]), item[0])))


def totals(nodes: list[dict[str, Any]]) -> dict[str, int]:
    """Sums over nodes: how many, values, synapses, those fed by spikes, those in portable segments, neurons."""
    return {
        "nodes": len(nodes),
        "values": sum(n["values"] for n in nodes),
        "synapses": sum(n["synapses"] for n in nodes),
        "spike_fed_synapses": sum(n["synapses"] for n in nodes if n["spike_fed"]),
        "portable_synapses": sum(n["synapses"] for n in nodes if n["portable"]),
        "neurons": sum(n["neurons"] for n in nodes),
    }


def _values(node: nir.NIRNode) -> int:
    return sum(v.size for k, v in vars(node).items() if isinstance(v, np.ndarray) and k not in ("shape", "offset"))
