"""Shapes of several dimensions: what each node puts out, and the same graph with all values in vectors."""

import nir
import numpy as np

from hw_sim.graph.check import MAX_VALUES
from hw_sim.graph.windows import CONVOLUTIONS, WINDOWS, geometry, out_shape
from hw_sim.graph.wiring import Wiring
from spikegpt.errors import UserError

Shape = tuple[int, ...]
SHAPE_KEY = "input_shape"  # of metadata: that of the Input
PER_NEURON = {
    "LIF": ("tau", "r", "v_leak", "v_reset", "v_threshold"), "IF": ("r", "v_reset", "v_threshold"),
    "LI": ("tau", "r", "v_leak"), "I": ("r",), "Threshold": ("threshold",), "Scale": ("scale",), "Delay": ("delay",),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
}  # fmt: skip


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
            new.input_type = {"input": np.array(read_by(node, shapes[wiring.sources[name][0]]))}
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
        return out_shape(node, geometry(name, node, read_by(node, read[0]))) if read else None
    if isinstance(node, nir.Flatten):
        return (int(np.prod(read[0])),) if read else None
    fields = PER_NEURON.get(type(node).__name__, ())
    if not fields and not isinstance(node, nir.Output):
        return tuple(int(n) for n in np.ravel(node.output_type["output"]))
    if read:
        return read[0]
    own = [np.shape(getattr(node, field)) for field in fields]
    return max(own, key=lambda s: int(np.prod(s))) if any(own) else None


def read_by(node: nir.NIRNode, shape: Shape) -> Shape:
    """The shape that a window reads: of a convolution that says which, as many values in a row are taken as that."""
    told = getattr(node, "input_shape", None)
    if isinstance(node, CONVOLUTIONS) and told is not None and len(shape) == 1 and np.asarray(told).dtype.kind in "iu":
        whole = (node.weight.shape[1] * int(np.ravel(node.groups)[0]), *(int(n) for n in np.ravel(told)))
        return whole if np.prod(whole) == shape[0] else shape
    return shape


def _spread(name: str, field: str, value: np.ndarray, shape: Shape) -> np.ndarray:
    n, held = int(np.prod(shape)), np.asarray(value)
    if held.size in (1, n):
        return np.ravel(np.broadcast_to(np.ravel(held), n))
    try:
        return np.ravel(np.broadcast_to(held, shape))
    except ValueError:
        raise UserError(f"node {name!r}: {field} holds {held.size} values for {n} neurons") from None
