"""What a graph must fulfil before anything runs it: every fault is one UserError that names the node and the cause."""

import nir
import numpy as np

from hw_sim.graph.extensions import DT, EXTENSIONS
from hw_sim.graph.windows import CONVOLUTIONS, WINDOWS, geometry
from hw_sim.graph.wiring import Wiring
from spikegpt.errors import UserError

STANDARD = (nir.Input, nir.Output, nir.Linear, nir.Affine, nir.Scale, nir.Delay, nir.Flatten, *WINDOWS, nir.Threshold,
            nir.I, nir.LI, nir.IF, nir.LIF, nir.CubaLI, nir.CubaLIF)  # fmt: skip
SUPPORTED = {cls.__name__: cls for cls in STANDARD + EXTENSIONS}
MAX_VALUES = 1 << 24  # that all outputs together may hold: 64 MiB in float32, ten times the largest preset
STEP = 1e-6  # by how much, relatively, a time constant may fall below one step
TIME_CONSTANTS = ("tau", "tau_mem", "tau_syn")
PART = 1 << 22  # values looked at together, to bound memory


def check(graph: nir.NIRGraph, where: str) -> None:
    """Raise UserError when `graph` cannot mean anything, or only something absurd; `where` opens the message."""
    try:
        for name, node in graph.nodes.items():
            _check_values(name, node)
        _check_edges(graph)
        wiring = Wiring(graph)
        _ = wiring.order
        for name, node in graph.nodes.items():
            if isinstance(node, (nir.Linear, nir.Affine, *CONVOLUTIONS)) and not wiring.embeds(name):
                _check_width(name, node.weight)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def width(node: nir.NIRNode, port: str = "output") -> int:
    """Values that a node puts out (or takes in, for the port "input") in one time step."""
    shape = (node.output_type or {}).get("output") if port == "output" else (node.input_type or {}).get("input")
    if shape is None:
        return 0
    return int(np.prod([int(n) for n in np.ravel(np.asarray(shape))], dtype=object))


def _check_values(name: str, node: nir.NIRNode) -> None:
    if type(node).__name__ not in SUPPORTED:
        known = ", ".join(sorted(SUPPORTED))
        raise UserError(f"node {name!r} is a {type(node).__name__}, which is not supported; known: {known}")
    if "/" in name or not name:
        raise UserError(f"node {name!r}: a name needs at least one character and no '/'")
    _check_arrays(name, node)
    if isinstance(node, WINDOWS):
        geometry(name, node, tuple(int(n) for n in np.ravel(_told(name, node))))
    _check_times(name, node)
    if not 0 < width(node) <= MAX_VALUES or not 0 < width(node, "input") <= MAX_VALUES:
        raise UserError(f"node {name!r}: {width(node)} values a time step; 1 to {MAX_VALUES:,} can be run")


def _check_arrays(name: str, node: nir.NIRNode) -> None:
    for field, value in vars(node).items():
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype.kind not in "fiu" or not value.size:
            raise UserError(f"node {name!r}: {field} holds {value.size} values of type {value.dtype}")
        if value.ndim != _dimensions(node, field) and not isinstance(node, WINDOWS):
            raise UserError(f"node {name!r}: {field} has {value.ndim} dimensions")
        if value.dtype.kind == "f" and not _all_finite(value):
            raise UserError(f"node {name!r}: {field} holds NaN or infinite values")
    if isinstance(node, nir.Affine) and node.bias.shape != node.weight.shape[:1]:
        raise UserError(f"node {name!r}: bias has shape {node.bias.shape}, weight {node.weight.shape}")


def _check_times(name: str, node: nir.NIRNode) -> None:
    for field in TIME_CONSTANTS:
        tau = getattr(node, field, None)
        if tau is not None and np.any(tau <= 0):
            raise UserError(f"node {name!r}: {field} must be positive, got {float(np.min(tau))}")
        if tau is not None and 0 < np.min(tau) < DT * (1 - STEP):
            raise UserError(f"node {name!r}: a step of {DT} s is longer than its time constant, {float(np.min(tau))} s")
    if isinstance(node, nir.Delay) and np.any(node.delay <= 0):
        raise UserError(f"node {name!r}: delay must be positive, got {float(np.min(node.delay))}")


def _dimensions(node: nir.NIRNode, field: str) -> int:
    return 2 if field == "weight" and isinstance(node, nir.Linear | nir.Affine) else 1


def _told(name: str, node: nir.NIRNode) -> np.ndarray:
    shape = (node.input_type or {}).get("input")
    if shape is None:
        raise UserError(f"node {name!r}: nothing tells the shape of its input")
    return np.asarray(shape)


def _check_width(name: str, weight: np.ndarray) -> None:
    """Raise UserError for integer weights that do not fit the 8 bits in which integer matrices are run."""
    if weight.dtype.kind == "f":
        return
    low, high = int(weight.min()), int(weight.max())
    if weight.dtype.kind == "u" or weight.dtype.itemsize > 1:
        held = f"integer weights ({weight.dtype}) from {low} to {high}"
        if low < -128 or high > 127:
            raise UserError(f"node {name!r}: {held}; those of 8 bits are run, -128 to 127")


def _all_finite(values: np.ndarray) -> bool:
    rows = max(1, PART // max(1, values.size // len(values)))
    return all(bool(np.isfinite(values[low : low + rows]).all()) for low in range(0, len(values), rows))


def _check_edges(graph: nir.NIRGraph) -> None:
    if sum(map(width, graph.nodes.values())) > MAX_VALUES:
        raise UserError(f"its nodes put out more than {MAX_VALUES:,} values a time step")
    seen, fed = set(), set()
    for source, target in graph.edges:
        for end in (source, target):
            if end not in graph.nodes:
                raise UserError(f"edge {source!r} to {target!r}: there is no node {end!r}")
        if (source, target) in seen:
            raise UserError(f"edge {source!r} to {target!r} is there twice")
        if isinstance(graph.nodes[target], nir.Input) or isinstance(graph.nodes[source], nir.Output):
            raise UserError(f"edge {source!r} to {target!r}: an Input reads nothing, an Output feeds nothing")
        out, into = width(graph.nodes[source]), width(graph.nodes[target], "input")
        if out != into:
            raise UserError(f"edge {source!r} to {target!r}: {out} values meet {into}")
        seen.add((source, target))
        fed.add(target)
    for name, node in graph.nodes.items():
        if name not in fed and not isinstance(node, nir.Input):
            raise UserError(f"node {name!r} has no input")
