"""Builds the Lava processes of a schedule and connects them."""

from pathlib import Path
from typing import Any

import numpy as np
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.graded.process import GradedReluVec
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF
from lava.proc.prodneuron.process import ProdNeuron
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import identity

from exporters.loihi.lava.standard.nodes import Kind, Node, Schedule
from exporters.loihi.lava.standard.processes import process as own
from hw_sim.plan import FIELDS, Op, Plan
from hw_sim.plan import fixed_point as fp

GRADED = 24  # message bits of a signal; spikes have none


def build(plan: Plan, schedule: Schedule, tokens: np.ndarray, n_tokens: int, folder: Path) -> list[Any]:
    """All processes, connected, for `n_tokens` of which the first are `tokens` and the others are generated.

    They leave logits.npz and recorder<k>.npz in `folder`.
    """
    network = [_process(plan, schedule, node, tokens, n_tokens, folder) for node in schedule.nodes]
    for node, process in zip(schedule.nodes, network, strict=True):
        for port, parts in zip(_in_ports(node, process), node.inputs, strict=True):
            for part in parts:
                _out_port(network[part]).connect(port)
        process.name = node.name  # not all of Lava's constructors take one; an error names it
    by_kind = {node.kind: process for node, process in zip(schedule.nodes, network, strict=True)}
    if schedule.generating:
        by_kind[Kind.LOGITS].s_out.connect(by_kind[Kind.GENERATOR].a_in)
    return network


def _in_ports(node: Node, process: Any) -> list[Any]:
    if isinstance(process, own.Receiver):
        return [getattr(process, name) for name in process.ports[: len(node.inputs)]]
    if isinstance(process, ProdNeuron):
        return [process.a_in1, process.a_in2]
    if isinstance(process, RingBuffer):
        return []
    return [process.s_in if isinstance(process, Dense | Sparse) else process.a_in]


def _out_port(process: Any) -> Any:
    return process.a_out if isinstance(process, Dense | Sparse) else process.s_out


def _process(plan: Plan, schedule: Schedule, node: Node, tokens: np.ndarray, n_tokens: int, folder: Path) -> Any:
    if node.kind == Kind.DENSE:
        return _dense(plan, node)
    if node.kind == Kind.LIF:
        decay, threshold = _constants(plan, node.rows[0], 2)
        # du = 4095: no current memory. Lava's dv is the plan's decay, at 4096 nothing of the membrane is kept.
        return LIF(
            shape=(node.n,), du=4095, dv=int(decay[0]), vth=threshold.astype(np.int32), bias_mant=0, bias_exp=0,
        )  # fmt: skip
    if node.kind == Kind.SPARSE:
        return Sparse(
            weights=identity(node.n, np.int32, "csr"), weight_exp=node.exponent, sign_mode=SignMode.EXCITATORY,
            num_message_bits=GRADED,
        )  # fmt: skip
    if node.kind == Kind.DELAY:
        steps = schedule.period if node.shift_tokens else node.latency
        return DelayDense(
            weights=np.eye(node.n, dtype=np.int32), delays=steps - 1, sign_mode=SignMode.EXCITATORY,
            num_message_bits=GRADED,
        )  # fmt: skip
    if node.kind == Kind.RELU:
        return GradedReluVec(shape=(node.n,), vth=0)
    if node.kind == Kind.PRODUCT:
        return ProdNeuron(shape=(node.n,), vth=0, exp=fp.FRACTION_BITS - 1)
    if node.kind == Kind.ONES:
        return RingBuffer(data=np.ones((node.n, 1), np.int32))
    nodes = schedule.nodes
    return getattr(own, node.kind.value)(
        label=node.name, depth=node.depth, n=node.n, n_tokens=n_tokens, period=schedule.period,
        widths=[nodes[parts[0]].n for parts in node.inputs],
        **_parameters(plan, schedule, node, tokens, folder),
    )  # fmt: skip


def _dense(plan: Plan, node: Node) -> Any:
    """Mixed-sign weights lose their lowest bit: twice the int8 weight at exponent -1 is exact."""
    binary = plan.table[node.rows[0], 0] == Op.EVENTS
    return Dense(
        weights=2 * _weights(plan, node.rows[0]).astype(np.int32), weight_exp=-1, sign_mode=SignMode.MIXED,
        num_message_bits=0 if binary else GRADED,
    )  # fmt: skip


def _parameters(plan: Plan, schedule: Schedule, node: Node, tokens: np.ndarray, folder: Path) -> dict[str, Any]:
    """What each of our own operators needs besides its widths and depth."""
    if node.kind in (Kind.EMBEDDING, Kind.GENERATOR):
        table = _constants(plan, node.rows[0], int(plan.field("n_in")[node.rows[0]]))
        return {"table": table, "tokens": tokens, "latency": schedule.depth}
    if node.kind == Kind.HELD_LIF:
        decay, threshold = _constants(plan, node.rows[0], 2)
        return {"decay": decay, "threshold": threshold}
    if node.kind == Kind.LAYER_NORM:
        weight, bias = _constants(plan, node.rows[0], 2)
        eps = plan.constants[plan.field("c")[node.rows[0]] + 2 * node.n]
        return {"weight": weight, "bias": bias, "eps": int(eps)}
    if node.kind == Kind.SCALE:
        if not node.rows:  # a bare limit
            return {"factor": np.ones(node.n, np.int64), "shift": 0, "limit": node.limit}
        (factor,) = _constants(plan, node.rows[0], 1)
        return {"factor": factor, "shift": int(plan.field("shift")[node.rows[0]]), "limit": node.limit}
    if node.kind == Kind.MIX:
        factors = np.concatenate([_constants(plan, row, 1) for row in node.rows])
        return {"factors": factors, "shifts": plan.field("shift")[list(node.rows)].tolist(), "limit": node.limit}
    if node.kind == Kind.MATRIX:
        return {"weights": _weights(plan, node.rows[0])}
    if node.kind == Kind.WKV:
        decay, bonus = _constants(plan, node.rows[0], 2)
        s = plan.field("s")[node.rows[0]]
        return {"decay": decay, "bonus": bonus, "state": plan.state[s : s + 3 * node.n].reshape(3, node.n)}
    if node.kind == Kind.LOGITS:
        return {"results": str(folder / "logits.npz")}
    if node.kind == Kind.RECORDER:
        lifs = [schedule.nodes[parts[0]] for parts in node.inputs]
        depths, names = [lif.depth for lif in lifs], [lif.name for lif in lifs]
        return {"results": str(folder / f"{node.name}.npz"), "names": names, "depths": depths}
    return {}


def _constants(plan: Plan, row: int, count: int) -> np.ndarray:
    """The first `count` parameter vectors of a row, (count, n) int64."""
    field = dict(zip(FIELDS, plan.table[row].tolist(), strict=True))
    n, c = field["n_out"], field["c"]
    return plan.constants[c : c + count * n].astype(np.int64).reshape(count, n)


def _weights(plan: Plan, row: int) -> np.ndarray:
    """The matrix of a row, (n_out, n_in) int8."""
    field = dict(zip(FIELDS, plan.table[row].tolist(), strict=True))
    n_in, n_out, w = field["n_in"], field["n_out"], field["w"]
    flat = plan.weights[w : w + n_in * n_out]
    return flat.reshape(n_out, n_in) if field["op"] == Op.DENSE else flat.reshape(n_in, n_out).T.copy()
