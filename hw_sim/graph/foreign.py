"""Graphs of other tools, on real inputs, in our conventions: flat vectors, Euler steps of DT, a Delay in every loop.

The event simulator reads tokens. `drive` therefore makes the time step the token: a table holds one input vector a
step. Each pass keeps what the network computes; what cannot be kept is refused with the node's name.
"""

from pathlib import Path

import nir
import numpy as np

from hw_sim.graph.check import check, width
from hw_sim.graph.conventions import in_steps, told
from hw_sim.graph.files import load
from hw_sim.graph.nested import inlined, with_previous_spikes
from hw_sim.graph.shapes import SHAPE_KEY, Shape, flattened
from hw_sim.graph.windows import WINDOWS
from hw_sim.graph.wiring import SPIKE_INPUT, Wiring
from spikegpt.errors import UserError

STEP_KEY, DT_KEY = "time_step", "time_step_s"  # of metadata: what was taken for the step, in words and in seconds


def read_foreign(path: str | Path, dt: float | None = None, convention: str | None = None) -> nir.NIRGraph:
    """Read a file that another tool wrote for time steps of `dt` seconds, by a convention of `conventions.NAMES`.

    What is not given is what the file's writer is taken to have meant (`conventions.told`), which the graph's metadata
    say under STEP_KEY. Raises UserError naming node and cause.
    """
    graph = load(path)
    try:
        graph = _connected(inlined(graph))
        step = told(graph, dt, convention)
        graph = with_previous_spikes(graph, step.dt)
        graph = in_steps(flattened(graph), step)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    check(graph, str(path))
    graph.metadata = {**graph.metadata, STEP_KEY: step.words, DT_KEY: step.dt}
    return graph


def inputs_of(graph: nir.NIRGraph) -> tuple[Shape, float]:
    """The shape of a step's inputs and the seconds that it lasts, of a graph that `read_foreign` gave."""
    shape = tuple(int(n) for n in np.ravel(graph.metadata[SHAPE_KEY]))
    return shape, float(graph.metadata[DT_KEY])


def drive(graph: nir.NIRGraph, inputs: np.ndarray, spikes: bool = False) -> nir.NIRGraph:
    """The graph with inputs (T, ..) built in: its token t is the input of step t, for `Simulator.run(np.arange(T))`.

    `spikes` says that the inputs are spikes, so that what they reach adds. Raises UserError when the inputs do not fit,
    or are said to be spikes and hold more than 0 and 1.
    """
    source = _source(graph)
    n = int(graph.nodes[source].output_type["output"][0])
    if inputs.ndim < 2 or int(np.prod(inputs.shape[1:])) != n or not len(inputs):
        raise UserError(f"inputs have shape {inputs.shape}; {n} values a time step are needed, as (T, {n})")
    if inputs.dtype.kind not in "fiub" or not np.isfinite(inputs).all():
        raise UserError("inputs must be finite numbers")
    if spikes and not np.isin(inputs, (0, 1)).all():
        raise UserError("the inputs are not 0 and 1, so they are no spikes")
    steps, edges = f"{source}_step", [*graph.edges, (f"{source}_step", source)]
    nodes = {**graph.nodes, steps: nir.Input({"input": np.array([len(inputs)])})}
    nodes[source] = nir.Linear(np.ascontiguousarray(inputs.reshape(len(inputs), n).T, np.float32))
    metadata = graph.metadata | ({SPIKE_INPUT: source} if spikes else {})
    driven = nir.NIRGraph(nodes, edges, metadata=metadata, type_check=False)
    check(driven, "driven graph")
    return driven


def with_input_neurons(driven: nir.NIRGraph) -> nir.NIRGraph:
    """A driven graph with a population that repeats inputs which are spikes, as a chip has one to send them."""
    source = driven.metadata.get(SPIKE_INPUT)
    if source is None:
        return driven
    population = f"{source}_neurons"
    edges = [(population if a == source else a, b) for a, b in driven.edges]
    nodes = driven.nodes | {population: nir.Threshold(np.full(width(driven.nodes[source]), 0.5))}
    metadata = {key: value for key, value in driven.metadata.items() if key != SPIKE_INPUT}
    made = nir.NIRGraph(nodes, [*edges, (source, population)], metadata=metadata, type_check=False)
    check(made, "driven graph")
    return made


def input_fed(graph: nir.NIRGraph) -> dict[str, bool]:
    """The nodes with weights that nothing but the Input reaches, unchanged or, where True, summed by a pool: what they
    read are spikes if the inputs are."""
    told = nir.NIRGraph(graph.nodes, graph.edges, metadata={SPIKE_INPUT: _source(graph)}, type_check=False)
    own, wiring = Wiring(graph), Wiring(told)
    weighted = [name for name, node in graph.nodes.items() if hasattr(node, "weight")]
    found = {name: wiring.sums_fed(name) for name in weighted if wiring.spike_fed(name) or wiring.sums_fed(name)}
    return {name: summed for name, summed in found.items() if not (own.spike_fed(name) or own.sums_fed(name))}


def _source(graph: nir.NIRGraph) -> str:
    sources = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(sources) != 1:
        raise UserError(f"the graph has {len(sources)} Inputs; one is needed")
    return sources[0]


def _connected(graph: nir.NIRGraph) -> nir.NIRGraph:
    for edge in graph.edges:
        for end in edge:
            if end not in graph.nodes:
                raise UserError(f"edge {edge[0]!r} to {edge[1]!r}: there is no node {end!r}")
    fed = {target for _, target in graph.edges}
    for name, node in graph.nodes.items():
        if name not in fed and isinstance(node, (*WINDOWS, nir.Flatten)):
            raise UserError(f"node {name!r} has no input")
    return graph
