"""What a target makes of every node of a graph: supported, substituted or refused, asked of the code that exports.

The code refuses one node at a time. So that all are named, a refused node is replaced by a stand-in of the same width
and the code is asked again, until it has nothing left to say.
"""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import nir
import numpy as np

from exporters.loihi.mapping import fit, load_chip
from exporters.loihi.netx import chains
from exporters.loihi.settings import Settings
from exporters.targets import check_float
from hw_sim.counts.compare import compare
from hw_sim.graph.check import SUPPORTED as SUPPORTED_KINDS
from hw_sim.graph.check import check, width
from hw_sim.graph.files import DAMAGE
from hw_sim.graph.foreign import STEP_KEY, drive
from hw_sim.graph.origin import vocabulary
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan import Plan
from hw_sim.plan.checks import check_membranes
from hw_sim.run.simulator import Simulator
from spikegpt.errors import UserError

SUPPORTED, SUBSTITUTED, REFUSED = "supported", "substituted", "refused"
NETWORK = "(network)"  # what concerns no single node


@dataclass(frozen=True)
class NodeCheck:
    """What becomes of one node. `drift` is the share of its spikes (of the Output: of its largest value) that differs
    on the data, None where that was not measured."""

    node: str
    kind: str
    status: str
    why: str = ""
    drift: float | None = None


@dataclass(frozen=True)
class Answer:
    """What the code of a target says of a graph that it takes: nodes that it computes otherwise, and nodes that it
    leaves out, each with the reason."""

    substituted: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def as_nir(graph: nir.NIRGraph) -> Answer:
    """NIR and the event simulator take what can be run. Raises UserError as a run does."""
    check(graph, "graph")
    build(_runnable(graph))
    return Answer()


def as_onnx(graph: nir.NIRGraph) -> Answer:
    """Nothing is computed otherwise; states become inputs and outputs. Raises UserError as the export does."""
    from exporters.onnx_model import write_onnx

    check_float(graph)
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(graph, Path(folder))
    return Answer()


def as_loihi(graph: nir.NIRGraph) -> Answer:
    """Matrices are rounded to int8; rows that are no process of Lava's own run their integer step. Raises UserError as
    the export does."""
    from exporters.loihi.lava.standard.nodes import STANDARD
    from exporters.loihi.lava.standard.schedule import schedule

    graph = _runnable(graph)
    check_float(graph)
    plan = _integer(graph)
    fit(plan, load_chip(Settings.chip), None)
    changed = {plan.names[i]: "weights rounded to int8" for i in plan.matrices}
    for process in schedule(plan).nodes:
        if process.kind not in STANDARD:
            reason = f"an integer step in a process of our own ({process.kind.value}), not of Lava's"
            changed |= {plan.names[i]: reason for i in process.rows}
    return Answer(changed)


def as_netx(graph: nir.NIRGraph) -> Answer:
    """What lies in no chain is in no netx file. Raises UserError as the export for Loihi does."""
    graph = _runnable(graph)
    check_float(graph)
    held = [name for chain in chains(_integer(graph)) for name in (chain.matrix, chain.name)]
    ends = (nir.Input, nir.Output)
    out = {name for name, node in graph.nodes.items() if name not in held and not isinstance(node, ends)}
    reason = "not in a netx file, which holds spikes into an int8 matrix into a LIF of one decay"
    return Answer(dict.fromkeys(held, "rounded to int8"), dict.fromkeys(out, reason))


TARGETS: dict[str, Callable[[nir.NIRGraph], Answer]] = {
    "nir": as_nir,
    "onnx": as_onnx,
    "loihi": as_loihi,
    "netx": as_netx,
}


def check_target(graph: nir.NIRGraph, target: str, tokens: np.ndarray | None = None) -> tuple[NodeCheck, ...]:
    """What a target makes of every node of a graph; `tokens` (T,) are what drift is measured on, where integers are
    run. Raises UserError for an unknown target."""
    if target not in TARGETS:
        raise UserError(f"target {target!r} is not one of {', '.join(TARGETS)}")
    refused: dict[str, str] = {}
    answer, now = Answer(), graph
    if target == "onnx" and not _is_model(graph):
        refused[NETWORK] = _why_no_model(graph)
    while NETWORK not in refused:
        try:
            answer = TARGETS[target](now)
            break
        except UserError as error:
            name = _named(str(error), graph)
            if name is None or name in refused:
                refused[NETWORK] = str(error)
            else:
                refused[name] = str(error)
                now = _without(now, name)
                if now is None:
                    refused[NETWORK] = f"nothing stands in for node {name!r}, so that the rest is not looked at"
    untouched = not refused
    refused = answer.left_out | refused
    whole = refused.pop(NETWORK, None)
    found = [NodeCheck(NETWORK, "NIRGraph", REFUSED, whole)] if whole else []
    for name, node in graph.nodes.items():
        status, why = SUPPORTED, ""
        if name in refused:
            status, why = REFUSED, refused[name]
        elif whole:
            status, why = REFUSED, "as the network is"
        elif name in answer.substituted:
            status, why = SUBSTITUTED, answer.substituted[name]
        found.append(NodeCheck(name, type(node).__name__, status, why))
    if tokens is not None and untouched and answer.substituted:
        drift = drifts(graph, tokens)
        found = [replace(f, drift=drift.get(f.node)) for f in found]
    return tuple(found)


def check_kinds(path: Path) -> tuple[NodeCheck, ...]:
    """What a file that cannot be read as a graph holds, where nodes of unknown kinds are the reason; else nothing."""
    try:
        with h5py.File(path) as file:
            nodes = file["node/nodes"]
            kinds = {name: nodes[name]["type"][()].decode() for name in nodes}
    except DAMAGE:
        return ()
    if set(kinds.values()) <= SUPPORTED_KINDS.keys():
        return ()
    unread, unknown = "its kind is; values are looked at once the others are", "a kind of node that is not supported"
    return tuple(
        NodeCheck(name, kind, *((SUPPORTED, unread) if kind in SUPPORTED_KINDS else (REFUSED, unknown)))
        for name, kind in kinds.items()
    )


def drifts(graph: nir.NIRGraph, tokens: np.ndarray) -> dict[str, float]:
    """By population the share of spikes, and by Output the largest difference over the largest logit, between the
    float graph and its integers on tokens (T,)."""
    float_run, integer_run = (Simulator.from_nir(g).run(tokens, record=True) for g in (graph, quantize(graph)))
    found = compare(integer_run.logits, integer_run.spikes, float_run.logits, float_run.spikes)
    shares = {
        name: found["mismatches_by_population"].get(name, 0) / train.size for name, train in float_run.spikes.items()
    }
    ends = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
    return shares | dict.fromkeys(ends, found["max_logit_difference"] / found["max_logit"])


def _integer(graph: nir.NIRGraph) -> Plan:
    plan = build(quantize(graph))
    check_membranes(plan)
    return plan


def _runnable(graph: nir.NIRGraph) -> nir.NIRGraph:
    """A language model as it is, any other network with inputs built in: a step of zeros, unless it has them."""
    reads_steps = any(isinstance(graph.nodes[a], nir.Input) and isinstance(graph.nodes[b], nir.Linear) and STEP_KEY
                      in graph.metadata and a.endswith("_step") for a, b in graph.edges)  # fmt: skip
    return graph if reads_steps or _is_model(graph) else drive(graph, np.zeros((1, _inputs(graph)), np.float32))


def _inputs(graph: nir.NIRGraph) -> int:
    return next(width(node) for node in graph.nodes.values() if isinstance(node, nir.Input))


def _is_model(graph: nir.NIRGraph) -> bool:
    return _why_no_model(graph) == ""


def _why_no_model(graph: nir.NIRGraph) -> str:
    try:
        vocabulary(graph, "export")
    except UserError as error:
        return str(error)
    return ""


def _named(said: str, graph: nir.NIRGraph) -> str | None:
    """The node that an error is about: of an edge the reader, as it is what does not fit."""
    names = [name for name in re.findall(r"'([^']*)'", said) if name in graph.nodes]
    return None if not names else names[1] if "edge '" in said and len(names) > 1 else names[0]


def _without(graph: nir.NIRGraph, name: str) -> nir.NIRGraph | None:
    """The graph with a node that no target refuses in place of this one: a Scale, or a matrix where widths differ."""
    node = graph.nodes[name]
    if isinstance(node, nir.Input | nir.Output):
        return None
    n_in, n_out = width(node, "input"), width(node)
    other = nir.Scale(np.ones(n_out, np.float32)) if n_in == n_out else nir.Linear(np.ones((n_out, n_in), np.float32))
    return nir.NIRGraph({**graph.nodes, name: other}, graph.edges, metadata=graph.metadata, type_check=False)
