"""Graphs of other tools (chains and trees of Affine, Linear, Scale, Delay, LIF on real inputs) in our conventions.

The event simulator reads tokens. `drive` therefore makes the time step the token: a table holds one input vector a
step. Each pass keeps what the network computes; what cannot be kept is refused with the node's name.
"""

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np

from hw_sim.graph.check import STEP, check, width
from hw_sim.graph.extensions import DT
from hw_sim.graph.files import load
from hw_sim.graph.wiring import Wiring
from spikegpt.errors import UserError

PER_NEURON = {"LIF": ("tau", "r", "v_leak", "v_reset", "v_threshold"), "Scale": ("scale",), "Delay": ("delay",)}


def read_foreign(path: str | Path, dt: float = DT) -> nir.NIRGraph:
    """Read a file that another tool wrote for time steps of `dt` seconds; raises UserError naming node and cause."""
    graph = load(path)
    try:
        if not dt > 0:
            raise UserError(f"dt = {dt}: a time step must be positive")
        require_steps(graph, dt)
        for lower in (spread_parameters, lambda g: rescale_time(g, dt)):
            graph = lower(graph)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    check(graph, str(path))
    return graph


def require_steps(graph: nir.NIRGraph, dt: float) -> None:
    """Raise UserError where a step of `dt` is longer than a time constant, or a Delay is not one step."""
    for name, node in graph.nodes.items():
        if isinstance(node, nir.LIF) and node.tau.size and 0 < np.min(node.tau) < dt * (1 - STEP):
            raise UserError(
                f"node {name!r}: a step of {dt:g} s is longer than its time constant of {float(np.min(node.tau)):g} s: "
                f"the membrane would overshoot; name the --dt that the tool used"
            )
        if isinstance(node, nir.Delay) and not np.allclose(node.delay, dt, rtol=STEP, atol=0):
            least, most = float(np.min(node.delay)), float(np.max(node.delay))
            span = f"{least:g} s" if least == most else f"{least:g} to {most:g} s"
            raise UserError(f"node {name!r}: a delay of {span}; delays of one step are run, here --dt {dt:g} s")


def spread_parameters(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Give every neuron its own parameters where a tool stored one for all (a scalar, or one value).

    Preserves every value; Input and Output take the width of what they meet.
    """
    wiring, nodes = Wiring(_connected(graph)), dict(graph.nodes)
    widths: dict[str, int] = {}
    for name in wiring.order:
        node, sources = nodes[name], wiring.sources[name]
        if isinstance(node, nir.Input):
            readers = [nodes[r].weight.shape[-1] for r in wiring.readers[name] if hasattr(nodes[r], "weight")]
            widths[name] = readers[0] if readers else int(np.ravel(node.input_type["input"])[-1])
            nodes[name] = nir.Input({"input": np.array([widths[name]])})
            continue
        kind = type(node).__name__
        if kind not in PER_NEURON and not isinstance(node, nir.Output):
            widths[name] = width(node)
            continue
        known = [widths[s] for s in sources if s in widths]
        if not known and isinstance(node, nir.Delay):  # in a loop it comes before what it reads
            known = [node.delay.size]
        if not known:
            raise UserError(f"node {name!r}: nothing tells how many values reach it")
        widths[name] = known[0]
        if isinstance(node, nir.Output):
            nodes[name] = nir.Output({"output": np.array([known[0]])})
        else:
            spread = {field: _spread(name, field, getattr(node, field), known[0]) for field in PER_NEURON[kind]}
            nodes[name] = type(node)(**spread)
    return nir.NIRGraph(nodes, graph.edges, metadata=graph.metadata, type_check=False)


def rescale_time(graph: nir.NIRGraph, dt: float) -> nir.NIRGraph:
    """Scale time constants and delays so that a step of `dt` becomes one of DT; preserves every value at every step."""
    nodes = dict(graph.nodes)
    for name, node in graph.nodes.items():
        if isinstance(node, nir.LIF):
            nodes[name] = replace(node, tau=node.tau * (DT / dt))
        elif isinstance(node, nir.Delay):
            nodes[name] = replace(node, delay=node.delay * (DT / dt))
    return nir.NIRGraph(nodes, graph.edges, metadata=graph.metadata, type_check=False)


def drive(graph: nir.NIRGraph, inputs: np.ndarray) -> nir.NIRGraph:
    """The graph with inputs (T, n) built in: its token t is the input of step t, for `Simulator.run(np.arange(T))`.

    An Affine becomes a Linear beside a table that puts its bias out at every step. Raises UserError when the inputs do
    not fit.
    """
    sources = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(sources) != 1:
        raise UserError(f"the graph has {len(sources)} Inputs; one is needed")
    (source,) = sources
    n = int(graph.nodes[source].output_type["output"][0])
    if inputs.ndim != 2 or inputs.shape[1] != n or not len(inputs):
        raise UserError(f"inputs have shape {inputs.shape}; {n} values a time step are needed, as (T, {n})")
    if inputs.dtype.kind not in "fiub" or not np.isfinite(inputs).all():
        raise UserError("inputs must be finite numbers")
    steps, edges = f"{source}_step", [*graph.edges, (f"{source}_step", source)]
    nodes = {**graph.nodes, steps: nir.Input({"input": np.array([len(inputs)])})}
    nodes[source] = nir.Linear(np.ascontiguousarray(inputs.T, np.float32))
    wiring = Wiring(graph)
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.Affine):
            continue
        nodes[name] = nir.Linear(node.weight)
        if np.any(node.bias):
            nodes[f"{name}_bias"] = nir.Linear(np.repeat(node.bias[:, None], len(inputs), axis=1))
            edges += [(steps, f"{name}_bias"), *((f"{name}_bias", reader) for reader in wiring.readers[name])]
    driven = nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)
    check(driven, "driven graph")
    return driven


def _spread(name: str, field: str, value: np.ndarray, n: int) -> np.ndarray:
    flat = np.ravel(np.asarray(value))
    if flat.size not in (1, n):
        raise UserError(f"node {name!r}: {field} holds {flat.size} values for {n} neurons")
    return np.broadcast_to(flat, n)


def _connected(graph: nir.NIRGraph) -> nir.NIRGraph:
    for edge in graph.edges:
        for end in edge:
            if end not in graph.nodes:
                raise UserError(f"edge {edge[0]!r} to {edge[1]!r}: there is no node {end!r}")
    return graph
