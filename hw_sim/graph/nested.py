"""Graphs within graphs, put in line; and loops without a Delay, which read what a neuron sent a step before."""

import nir
import numpy as np

from hw_sim.graph.wiring import NEURONS
from spikegpt.errors import UserError

DEEPEST = 16  # graphs within one another
LOOPS = 1000
Edges = list[tuple[str, str]]


def inlined(graph: nir.NIRGraph, depth: int = 0) -> nir.NIRGraph:
    """The same network without graphs inside: their nodes come out as `outer.inner`, their one Input and one Output go.

    Raises UserError naming the graph where it has more of them, is empty, or its names meet others.
    """
    nested = {name: node for name, node in graph.nodes.items() if isinstance(node, nir.NIRGraph)}
    if not nested:
        return graph
    if depth == DEEPEST:
        raise UserError(f"graphs lie more than {DEEPEST} deep in one another")
    nodes = {name: node for name, node in graph.nodes.items() if name not in nested}
    edges: Edges = list(graph.edges)
    for name, held in nested.items():
        inner = inlined(held, depth + 1)
        ends = [_only(kind, name, inner) for kind in (nir.Input, nir.Output)]
        for k, node in inner.nodes.items():
            if k not in ends:
                if f"{name}.{k}" in nodes or f"{name}.{k}" in nested:
                    raise UserError(f"node {name!r}: there are two nodes {name}.{k}")
                nodes[f"{name}.{k}"] = node
        for a, b in inner.edges:
            for end in (a, b):
                if end not in inner.nodes:
                    raise UserError(f"node {name!r}: edge {a!r} to {b!r}: there is no node {end!r}")
        edges = _spliced(edges, name, list(inner.edges), ends)
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)


def _only(kind: type[nir.NIRNode], name: str, inner: nir.NIRGraph) -> str:
    found = [k for k, node in inner.nodes.items() if isinstance(node, kind)]
    if len(found) != 1:
        raise UserError(f"node {name!r}: a graph with {len(found)} {kind.__name__}s inside; one is run")
    return found[0]


def _spliced(edges: Edges, name: str, inner: Edges, ends: list[str]) -> Edges:
    """The edges with the graph `name` replaced by its nodes, between its Input and its Output."""
    source, sink = ends
    kept = [(f"{name}.{a}", f"{name}.{b}") for a, b in inner if a != source and b != sink]
    first = [f"{name}.{b}" for a, b in inner if a == source and b != sink]
    last = [f"{name}.{a}" for a, b in inner if b == sink and a != source]
    fed = [a for a, b in edges if b == name and a != name]
    read = [b for a, b in edges if a == name and b != name]
    through = [(a, b) for a in fed for b in read] if (source, sink) in inner else []
    loops = [(a, b) for a in last for b in first] if (name, name) in edges else []
    around = [(a, b) for a, b in edges if name not in (a, b)]
    return [*around, *kept, *((a, b) for a in fed for b in first), *((a, b) for a in last for b in read), *through,
            *loops]  # fmt: skip


def with_previous_spikes(graph: nir.NIRGraph, step: float) -> nir.NIRGraph:
    """The graph with a Delay of one step behind the neuron of every loop that has none, as the NIR paper's platforms
    run recurrence: what leads back reads the spikes of the step before. Loops without a neuron stay as they are."""
    for _ in range(LOOPS):
        if (cut := _loop(graph)) is None:
            return graph
        neuron, reader = cut
        delay = f"{neuron}_previous"
        nodes, edges = dict(graph.nodes), [edge for edge in graph.edges if edge != cut]
        if delay not in nodes:
            nodes[delay] = nir.Delay(np.array([step]))
            edges.append((neuron, delay))
        elif (neuron, delay) not in edges:
            raise UserError(f"node {neuron!r} is in a loop; the name {delay!r}, which its Delay would have, is taken")
        graph = nir.NIRGraph(nodes, [*edges, (delay, reader)], metadata=graph.metadata, type_check=False)
    raise UserError(f"more than {LOOPS:,} loops without a Delay")


def _loop(graph: nir.NIRGraph) -> tuple[str, str] | None:
    """The edge to cut of the first loop from the inputs on: that of its last neuron, None where none is left."""
    readers: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in sorted(graph.edges):
        if not isinstance(graph.nodes[b], nir.Delay):  # it hands out the past, and ends a loop
            readers[a].append(b)
    done: set[str] = set()
    inputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    for start in [*sorted(inputs), *sorted(graph.nodes)]:
        path: list[str] = []
        at: dict[str, int] = {}
        todo = [(start, False)]
        while todo:
            name, leave = todo.pop()
            if leave:
                done.add(path.pop())
                del at[name]
                continue
            if name in done or name in at:
                continue
            at[name] = len(path)
            path.append(name)
            todo.append((name, True))
            for reader in reversed(readers[name]):
                if reader in at:
                    loop = [*path[at[reader] :], reader]
                    neurons = [i for i in range(len(loop) - 1) if isinstance(graph.nodes[loop[i]], NEURONS)]
                    if neurons:
                        return loop[neurons[-1]], loop[neurons[-1] + 1]
                elif reader not in done:
                    todo.append((reader, False))
    return None
