"""Graphs of other tools, on real inputs, in our conventions: flat vectors, Euler steps of DT, a Delay in every loop.

The event simulator reads tokens. `drive` therefore makes the time step the token: a table holds one input vector a
step. Each pass keeps what the network computes; what cannot be kept is refused with the node's name.
"""

from pathlib import Path

import nir
import numpy as np

from hw_sim.graph.check import check
from hw_sim.graph.conventions import in_steps, told
from hw_sim.graph.files import load
from hw_sim.graph.nested import inlined, with_previous_spikes
from hw_sim.graph.shapes import SHAPE_KEY, Shape, flattened
from hw_sim.graph.windows import WINDOWS
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


def drive(graph: nir.NIRGraph, inputs: np.ndarray) -> nir.NIRGraph:
    """The graph with inputs (T, ..) built in: its token t is the input of step t, for `Simulator.run(np.arange(T))`.

    Raises UserError when the inputs do not fit.
    """
    sources = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(sources) != 1:
        raise UserError(f"the graph has {len(sources)} Inputs; one is needed")
    (source,) = sources
    n = int(graph.nodes[source].output_type["output"][0])
    if inputs.ndim < 2 or int(np.prod(inputs.shape[1:])) != n or not len(inputs):
        raise UserError(f"inputs have shape {inputs.shape}; {n} values a time step are needed, as (T, {n})")
    if inputs.dtype.kind not in "fiub" or not np.isfinite(inputs).all():
        raise UserError("inputs must be finite numbers")
    steps, edges = f"{source}_step", [*graph.edges, (f"{source}_step", source)]
    nodes = {**graph.nodes, steps: nir.Input({"input": np.array([len(inputs)])})}
    nodes[source] = nir.Linear(np.ascontiguousarray(inputs.reshape(len(inputs), n).T, np.float32))
    driven = nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)
    check(driven, "driven graph")
    return driven


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
