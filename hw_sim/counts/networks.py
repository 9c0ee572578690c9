"""The layers of a NIR network over a run in the simulator, by the same definitions as those of a torch module."""

from collections.abc import Callable
from dataclasses import replace

import nir
import numpy as np

from hw_sim.counts.layers import BINARY, GRADED, INPUT, REAL, SPIKES, ZERO, LayerCount, LayerCounts, split, verdict
from hw_sim.counts.nodes import node_counts
from hw_sim.graph.check import width
from hw_sim.graph.foreign import STEP_KEY, drive, input_fed
from hw_sim.run.simulator import Simulator

UNSEEN = (
    "no data: dense operations, element-wise operations and neuron updates follow from structure, the rest does not"
)
Progress = Callable[[int], None]


def count_tokens(graph: nir.NIRGraph, tokens: np.ndarray | None, progress: Progress = lambda done: None) -> LayerCounts:
    """The layers of a language model that reads tokens (T,); None: by structure alone, over one token."""
    return _count(graph, np.zeros(1, np.int64) if tokens is None else tokens, {}, tokens is not None, progress)


def count_inputs(
    graph: nir.NIRGraph, inputs: np.ndarray | None, spike_input: bool = False, progress: Progress = lambda done: None
) -> LayerCounts:
    """The layers of any other network, as `foreign.read_foreign` gives it, over inputs (T, n); None: by structure
    alone, over one step. `spike_input` says that the inputs are events, else their values tell."""
    tables = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]  # when `drive` built them in
    seen = np.zeros((1, sum(width(graph.nodes[name]) for name in tables))) if inputs is None else inputs
    look, alone = verdict(seen), input_fed(graph)
    driven = drive(graph, seen, spike_input)
    fed = {}
    for name, summed in alone.items():
        own = GRADED if summed else SPIKES
        fed[name] = (own if spike_input else INPUT, GRADED if summed and look == BINARY else look)
    counts = _count(driven, np.arange(len(seen)), fed, inputs is not None, progress)
    kept = tuple(layer for layer in counts.layers if layer.name not in tables)
    note = f"{', '.join(alone)}: fed by the input itself, so values tell what it counts as"
    told = alone and inputs is not None and not spike_input
    step = [graph.metadata[STEP_KEY]] if STEP_KEY in graph.metadata else []
    return replace(counts, layers=kept, notes=(*counts.notes, *([note] if told else []), *step))


def are_events(graph: nir.NIRGraph, inputs: np.ndarray, said: bool) -> tuple[bool, tuple[str, ...]]:
    """Whether inputs (T, n) count as spikes: as said, else by their values, with a note where that decided."""
    if said or verdict(inputs) not in (BINARY, ZERO):
        return said, ()
    fed = ", ".join(sorted(input_fed(graph)))
    return True, (f"inputs of 0 and 1 are taken for spikes: {fed} adds, it does not multiply",) if fed else ()


def _count(graph: nir.NIRGraph, tokens: np.ndarray, fed: dict[str, tuple[str, str]], seen: bool,
           progress: Progress) -> LayerCounts:  # fmt: skip
    """Run and name the counters; of the matrices in `fed` it is known what feeds them and what that looks like."""
    simulator = Simulator.from_nir(graph)
    result = simulator.run(tokens, progress=progress)
    matrices = {m.name: m for m in result.matrices}
    layers = []
    for node in node_counts(simulator.plan, result).values():
        matrix, kind = matrices.get(node.name), type(graph.nodes[node.name]).__name__
        layer = LayerCount(node.name, kind, elementwise=node.elementwise, dense=node.dense, spikes=node.spikes,
                           updates=node.active + node.idle + _integrators(graph.nodes[node.name], len(tokens)),
                           effective=node.synops + node.graded + node.macs,
                           accumulates=node.synops, graded=node.graded, macs=node.macs)  # fmt: skip
        if matrix is not None:
            own = SPIKES if matrix.spike_fed else GRADED if matrix.graded else REAL
            layer.structure, layer.values = fed.get(node.name, (own, BINARY if matrix.spike_fed else None))
            if node.name in fed:
                for key, n in split(*fed[node.name], matrix.effective).items():
                    setattr(layer, key, n)
        layers.append(layer if seen else unseen(layer))
    return LayerCounts(tuple(layers), len(tokens), notes=() if seen else (UNSEEN,))


def _integrators(node: nir.NIRNode, steps: int) -> int:
    """Updates of neurons that never fire, which are no population."""
    return steps * width(node) if isinstance(node, nir.I | nir.LI | nir.CubaLI) else 0


def unseen(layer: LayerCount) -> LayerCount:
    """What is left of a layer where no data were read."""
    worked = layer.dense > 0
    blank = dict.fromkeys(("effective", "macs", "accumulates", "graded"), None if worked else 0)
    return replace(layer, values=None, spikes=None if layer.updates else 0, **blank)
