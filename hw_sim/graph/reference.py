"""A float graph run node by node over a whole text in numpy: slow, obvious, what passes and segments are held against.

A node is run for all time steps before the next node, so a graph with feedback through a Delay cannot be run here.
"""

from collections.abc import Callable, Collection
from graphlib import CycleError, TopologicalSorter

import nir
import numpy as np

from hw_sim.graph.extensions import DT, WKV, TokenShift, memoryless
from hw_sim.graph.wiring import Wiring
from hw_sim.plan import floating_point as fl
from spikegpt.errors import UserError


def run(
    graph: nir.NIRGraph,
    source: np.ndarray,
    see: Callable[[str, np.ndarray, np.ndarray], None],
    wanted: Collection[str] | None = None,
) -> None:
    """Run `graph` over tokens (T,) or input vectors (T, n), float32, until all `wanted` nodes (default: all) have run.

    `see` is given the name, input (T, n_in) and output (T, n_out) of every node in turn; nothing is kept for longer
    than its readers need it. Raises UserError on feedback.
    """
    wiring = Wiring(graph)
    try:
        order = list(TopologicalSorter(wiring.sources).static_order())
    except CycleError as error:
        raise UserError(f"nodes {', '.join(error.args[1][:4])} feed back; the reference runs forward only") from error
    held: dict[str, np.ndarray] = {}
    waiting = {name: len(readers) for name, readers in wiring.readers.items()}
    last = max(i for i, name in enumerate(order) if wanted is None or name in wanted)
    for name in order[: last + 1]:
        node, sources = graph.nodes[name], wiring.sources[name]
        drive = sum((held[s] for s in sources[1:]), held[sources[0]]) if sources else source
        held[name] = drive if isinstance(node, nir.Input | nir.Output) else step_all(node, drive)
        see(name, drive, held[name])
        for s in sources:
            waiting[s] -= 1
            if not waiting[s]:
                del held[s]


def step_all(node: nir.NIRNode, x: np.ndarray) -> np.ndarray:
    """All time steps of one node from its start: x (T, n_in), or tokens (T,) into a table -> (T, n_out) float32."""
    if isinstance(node, nir.Linear | nir.Affine):
        y = node.weight.T[x] if x.ndim == 1 else x @ node.weight.T
        return (y + node.bias if isinstance(node, nir.Affine) else y).astype(np.float32, copy=False)
    if isinstance(node, nir.Scale):
        return x * node.scale.astype(np.float32)
    if isinstance(node, nir.Delay):
        return np.concatenate([np.zeros_like(x[:1]), x[:-1]])
    if isinstance(node, nir.LIF):
        return lif_all(node, x)
    if isinstance(node, TokenShift):
        before = np.concatenate([np.zeros_like(x[:1]), x[:-1]])
        return np.stack([node.step(*pair) for pair in zip(x, before, strict=True)])
    if isinstance(node, WKV):
        state, ys = node.start(), []
        for row in x:
            y, state = node.step(row, state)
            ys.append(y)
        return np.stack(ys).astype(np.float32)
    return np.stack([node.step(row) for row in x]).astype(np.float32)


def lif_all(node: nir.LIF, x: np.ndarray) -> np.ndarray:
    """NIR's LIF by Euler steps of DT, in float32; memoryless, its membrane is its input."""
    single = np.float32
    if memoryless(node):
        return fl.fire(x, node.v_threshold.astype(single))[0].astype(single)
    parameters = [a.astype(single) for a in (DT / node.tau, node.r, node.v_leak, node.v_reset, node.v_threshold)]
    v, spikes = np.zeros(x.shape[1], single), np.zeros(x.shape, single)
    for t, drive in enumerate(x):
        spikes[t], v = fl.lif(drive, v, *parameters)
    return spikes
