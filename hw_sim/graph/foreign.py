"""Graphs of other tools, on real inputs, in our conventions: flat vectors, Euler steps of DT, a Delay in every loop.

The event simulator reads tokens. `drive` therefore makes the time step the token: a table holds one input vector a
step. Each pass keeps what the network computes; what cannot be kept is refused with the node's name.
"""

from pathlib import Path

import nir
import numpy as np

from hw_sim.graph.check import MAX_VALUES, check
from hw_sim.graph.conventions import in_steps, told
from hw_sim.graph.files import load
from hw_sim.graph.nested import inlined, with_previous_spikes
from hw_sim.graph.windows import WINDOWS, geometry, out_shape
from hw_sim.graph.wiring import Wiring
from spikegpt.errors import UserError

Shape = tuple[int, ...]
PER_NEURON = {
    "LIF": ("tau", "r", "v_leak", "v_reset", "v_threshold"), "IF": ("r", "v_reset", "v_threshold"),
    "LI": ("tau", "r", "v_leak"), "I": ("r",), "Threshold": ("threshold",), "Scale": ("scale",), "Delay": ("delay",),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
}  # fmt: skip
# Of metadata: what was taken for the file's time step, in words and in seconds; the shape of its inputs.
STEP_KEY, DT_KEY, SHAPE_KEY = "time_step", "time_step_s", "input_shape"


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


def flattened(graph: nir.NIRGraph) -> nir.NIRGraph:
    """All values in vectors, and every neuron with parameters of its own where a tool stored one for all.

    Preserves every value. Input and Output take the width of what they meet; the metadata keep the Input's shape.
    """
    nodes: dict[str, nir.NIRNode] = {}
    shapes = shapes_of(graph)
    wiring = Wiring(graph)
    for name, node in graph.nodes.items():
        shape, kind = shapes[name], type(node).__name__
        n = np.array([int(np.prod(shape))])
        if isinstance(node, nir.Input):
            new: nir.NIRNode = nir.Input({"input": n})
        elif isinstance(node, nir.Output):
            new = nir.Output({"output": n})
        elif kind in PER_NEURON:
            new = type(node)(**{f: _spread(name, f, getattr(node, f), shape) for f in PER_NEURON[kind]})
        elif isinstance(node, (*WINDOWS, nir.Flatten)):
            new = type(node)(**{f: v for f, v in vars(node).items() if f not in ("input_type", "output_type")},
                             **({"input_type": {"input": n}} if isinstance(node, nir.Flatten) else {}))  # fmt: skip
            new.input_type = {"input": np.array(shapes[wiring.sources[name][0]])}
            new.output_type = {"output": np.array(shape)}
        else:
            new = node
        nodes[name] = new
    first = next((shapes[name] for name, node in graph.nodes.items() if isinstance(node, nir.Input)), (1,))
    metadata = {**graph.metadata, SHAPE_KEY: np.array(first)}
    return nir.NIRGraph(nodes, graph.edges, metadata=metadata, type_check=False)


def shapes_of(graph: nir.NIRGraph) -> dict[str, Shape]:
    """The shape that each node puts out. Raises UserError where nothing tells, or a window does not fit."""
    wiring, found = Wiring(graph), dict[str, Shape]()
    delays = [name for name, node in graph.nodes.items() if isinstance(node, nir.Delay)]
    order = [name for name in wiring.order if name not in delays]
    for name in [*order, *delays, *order]:  # a Delay, and what it alone feeds, may come before what it reads
        if name in found:
            continue
        shape = _shape(name, graph.nodes[name], [found[s] for s in wiring.sources[name] if s in found], wiring)
        if shape is not None:
            if np.prod([int(n) for n in shape], dtype=object) > MAX_VALUES:
                raise UserError(f"node {name!r}: shape {shape} holds more than {MAX_VALUES:,} values")
            found[name] = shape
    for name in graph.nodes:
        if name not in found:
            raise UserError(f"node {name!r}: nothing tells how many values reach it")
    return found


def _shape(name: str, node: nir.NIRNode, read: list[Shape], wiring: Wiring) -> Shape | None:
    if isinstance(node, nir.Input):
        widths = [n.weight.shape[-1] for r in wiring.readers[name]
                  if isinstance(n := wiring.graph.nodes[r], nir.Linear | nir.Affine)]  # fmt: skip
        return (widths[0],) if widths else tuple(int(n) for n in np.ravel(node.input_type["input"]))
    if isinstance(node, nir.Linear | nir.Affine):
        return (node.weight.shape[0],)
    if isinstance(node, WINDOWS):
        if len(wiring.sources[name]) > 1 and len(set(read)) > 1:
            raise UserError(f"node {name!r}: inputs of shapes {', '.join(map(str, read))} meet")
        return out_shape(node, geometry(name, node, read[0])) if read else None
    if isinstance(node, nir.Flatten):
        return (int(np.prod(read[0])),) if read else None
    fields = PER_NEURON.get(type(node).__name__, ())
    if not fields and not isinstance(node, nir.Output):
        return tuple(int(n) for n in np.ravel(node.output_type["output"]))
    if read:
        return read[0]
    own = [np.shape(getattr(node, field)) for field in fields]
    return max(own, key=lambda s: int(np.prod(s))) if any(own) else None


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


def _spread(name: str, field: str, value: np.ndarray, shape: Shape) -> np.ndarray:
    n, held = int(np.prod(shape)), np.asarray(value)
    if held.size in (1, n):
        return np.ravel(np.broadcast_to(np.ravel(held), n))
    try:
        return np.ravel(np.broadcast_to(held, shape))
    except ValueError:
        raise UserError(f"node {name!r}: {field} holds {held.size} values for {n} neurons") from None


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
