"""What every node did in a run: operations, neuron updates, spikes and bytes, exact integers that add up over runs.

All follows from the counters of the run and the shapes in the plan; nothing is estimated.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from hw_sim.counts.counts import Counts, MatrixCount, PopulationCount
from hw_sim.plan import Op, Plan

ELEMENTWISE = ("mul", "add", "cmp", "exp", "div", "sqrt")


@dataclass(frozen=True)
class NodeCount:
    """What one node did over a run; a sum of inputs counts for the node that reads it.

    `operations` are the rows of the plan that make up the node. A matrix does `dense` operations if no zero is
    skipped; of them were done `synops` on binary spikes, `graded` on integer events (the non-zero values behind a
    squared ReLU of an integer plan), or `macs` on other real inputs. `active` and `idle` are neuron updates with and
    without input. Bytes are those of the plan's buffers: `weight_bytes_read` of matrices (rows of active inputs where
    zeros are skipped) and of the embedding's row, `parameter_bytes_read` of all other constants; nothing writes
    either.
    """

    name: str
    operations: tuple[str, ...]
    elementwise: dict[str, int]
    dense: int = 0
    synops: int = 0
    graded: int = 0
    macs: int = 0
    active: int = 0
    idle: int = 0
    spikes: int = 0
    weight_bytes_read: int = 0
    parameter_bytes_read: int = 0
    state_bytes_read: int = 0
    state_bytes_written: int = 0


def node_counts(plan: Plan, counts: Counts) -> dict[str, NodeCount]:
    """The nodes of a plan in order of execution, with what they did in a run of it."""
    tokens = counts.tokens
    matrices, populations = {m.name: m for m in counts.matrices}, {p.name: p for p in counts.populations}
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(plan.names):
        rows.setdefault(name, []).append(i)
    return {
        name: _node(plan, name, own, tokens, matrices.get(name), populations.get(name)) for name, own in rows.items()
    }


def elementwise_totals(nodes: Mapping[str, NodeCount]) -> dict[str, int]:
    """Element-wise operations of all nodes by kind, absent ones as zero."""
    return summed(node.elementwise for node in nodes.values())


def summed(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Element-wise operations by kind over several parts, absent ones as zero."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return {kind: total[kind] for kind in ELEMENTWISE}


def _node(plan: Plan, name: str, rows: list[int], tokens: int, matrix: MatrixCount | None,
          population: PopulationCount | None) -> NodeCount:  # fmt: skip
    per_token: Counter[str] = Counter()
    parameters = read = written = weights = 0  # words a token, but `weights`: bytes
    for i in rows:
        row, operation = plan.row(i), plan.operation(i)
        per_token.update(operation.elementwise(row))
        read += row.n_out * operation.state_read if operation.looks_back(row) else 0
        written += row.n_out * operation.state_written
        if row.op == Op.EMBED:  # a row of the table
            weights += row.n_out * tokens * plan.constants.itemsize
        else:
            parameters += sum(map(prod, operation.parameters(row, plan.integer)))
        if matrix and operation.matrix:
            looked_at = matrix.effective if operation.kernel else matrix.rows_read
            weights += (looked_at if operation.input_major else matrix.dense) * plan.weights.itemsize
    return NodeCount(
        name,
        tuple(Op(plan.table[i, 0]).name for i in rows),
        {kind: per_token[kind] * tokens for kind in ELEMENTWISE if per_token[kind]},
        dense=matrix.dense if matrix else 0,
        synops=matrix.effective if matrix and matrix.spike_fed else 0,
        graded=matrix.effective if matrix and matrix.graded else 0,
        macs=matrix.effective if matrix and not matrix.spike_fed and not matrix.graded else 0,
        active=population.active if population else 0,
        idle=population.updates - population.active if population else 0,
        spikes=population.spikes if population else 0,
        weight_bytes_read=weights,
        parameter_bytes_read=parameters * tokens * plan.constants.itemsize,
        state_bytes_read=read * tokens * plan.state.itemsize,
        state_bytes_written=written * tokens * plan.state.itemsize,
    )
