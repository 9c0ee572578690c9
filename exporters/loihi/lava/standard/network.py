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
from hw_sim.plan import OPERATIONS, Op, Plan
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
        decay, threshold = plan.parameters(node.rows[0])
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
    return _own_class(node)(
        label=node.name, depth=node.depth, n=node.n, n_tokens=n_tokens, period=schedule.period,
        widths=[nodes[parts[0]].n for parts in node.inputs],
        **_parameters(plan, schedule, node, tokens, folder),
    )  # fmt: skip


def _dense(plan: Plan, node: Node) -> Any:
    """Mixed-sign weights lose their lowest bit: twice the int8 weight at exponent -1 is exact."""
    row = node.rows[0]
    return Dense(
        weights=2 * plan.matrix(row).T.astype(np.int32), weight_exp=-1, sign_mode=SignMode.MIXED,
        num_message_bits=0 if plan.operation(row).listens else GRADED,
    )  # fmt: skip


def _own_class(node: Node) -> Any:
    if node.kind == Kind.OPERATION:
        return own.Unary if len(node.inputs) == 1 else own.Binary
    return getattr(own, node.kind.value)


def _parameters(plan: Plan, schedule: Schedule, node: Node, tokens: np.ndarray, folder: Path) -> dict[str, Any]:
    """What each of our own operators needs besides its widths and depth."""
    if node.kind in (Kind.EMBEDDING, Kind.GENERATOR):
        (table,) = plan.parameters(node.rows[0])
        return {"table": table.astype(np.int64), "tokens": tokens, "latency": schedule.depth}
    if node.kind == Kind.OPERATION:
        if not node.rows:  # a bare limit
            return {"operation": OPERATIONS[Op.COPY], "given": None, "state": None, "limit": node.limit}
        (i,) = node.rows
        state = plan.state[plan.held(i)].reshape(-1, node.n)
        return {"operation": plan.operation(i), "given": plan.given(i), "state": state, "limit": node.limit}
    if node.kind == Kind.MIX:
        return {"given": [plan.given(i) for i in node.rows], "limit": node.limit}
    if node.kind == Kind.LOGITS:
        return {"results": str(folder / "logits.npz")}
    if node.kind == Kind.RECORDER:
        firing = [schedule.nodes[parts[0]] for parts in node.inputs]
        depths, names = [n.depth for n in firing], [n.name for n in firing]
        return {"results": str(folder / f"{node.name}.npz"), "names": names, "depths": depths}
    return {}
