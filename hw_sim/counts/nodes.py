"""What every node did in a run: operations, neuron updates, spikes and bytes, exact integers that add up over runs.

All follows from the counters of the run and the shapes in the plan; nothing is estimated.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hw_sim.counts.counts import Counts, MatrixCount, PopulationCount
from hw_sim.plan import Op, Plan

ELEMENTWISE = ("mul", "add", "cmp", "exp", "div", "sqrt")

# Element-wise operations a channel, by operation of the plan.
PER_CHANNEL: dict[Op, dict[str, int]] = {
    Op.SCALE: {"mul": 1},
    Op.ADD: {"add": 1},
    Op.LAYER_NORM: {"mul": 3, "add": 4},  # square, scale, weight; mean, centre, variance, bias
    Op.LIF: {"mul": 1, "add": 2, "cmp": 1},
    Op.WKV: {"mul": 6, "add": 10, "cmp": 2, "exp": 4, "div": 1},
    Op.SIGMOID: {"exp": 1, "div": 1, "add": 1},
    Op.SQUARED_RELU: {"mul": 1, "cmp": 1},
    Op.MULTIPLY: {"mul": 1},
}
PER_NODE: dict[Op, dict[str, int]] = {Op.LAYER_NORM: {"sqrt": 1, "div": 3}}  # the two means and the inverse root

# Vectors of the width of the node that a token reads of its parameters, and reads and writes of its state.
PARAMETERS: dict[Op, int] = {Op.SCALE: 1, Op.LAYER_NORM: 2, Op.WKV: 2}  # and eps; a LIF: `_lif_parameters`
STATE_READ: dict[Op, int] = {Op.DELAY_READ: 1, Op.LIF: 1, Op.WKV: 3}
STATE_WRITTEN: dict[Op, int] = {Op.DELAY_WRITE: 1, Op.LIF: 1, Op.WKV: 3}


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
    tokens = counts.matrices[0].tokens
    matrices, populations = {m.name: m for m in counts.matrices}, {p.name: p for p in counts.populations}
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(plan.names):
        rows.setdefault(name, []).append(i)
    return {
        name: _node(plan, name, own, tokens, matrices.get(name), populations.get(name)) for name, own in rows.items()
    }


def elementwise_totals(nodes: Mapping[str, NodeCount]) -> dict[str, int]:
    """Element-wise operations of all nodes by kind, absent ones as zero."""
    total: Counter[str] = Counter()
    for node in nodes.values():
        total.update(node.elementwise)
    return {kind: total[kind] for kind in ELEMENTWISE}


def _node(plan: Plan, name: str, rows: list[int], tokens: int, matrix: MatrixCount | None,
          population: PopulationCount | None) -> NodeCount:  # fmt: skip
    per_token: Counter[str] = Counter()
    parameters = read = written = weights = 0  # words a token, but `weights`: words
    for i in rows:
        op, n = Op(plan.table[i, 0]), int(plan.field("n_out")[i])
        for kind, count in PER_CHANNEL.get(op, {}).items():
            per_token[kind] += count * n
        per_token.update(PER_NODE.get(op, {}))
        forgets = op == Op.LIF and bool(plan.field("shift")[i])  # its membrane is never looked at again
        parameters += n * (_lif_parameters(plan) if op == Op.LIF else PARAMETERS.get(op, 0)) + (op == Op.LAYER_NORM)
        read += 0 if forgets else n * STATE_READ.get(op, 0)
        written += n * STATE_WRITTEN.get(op, 0)
        if op == Op.EMBED:
            weights += n * tokens * plan.constants.itemsize
        elif matrix and op in (Op.EVENTS, Op.SPARSE, Op.DENSE):
            weights += (matrix.dense if op == Op.DENSE else matrix.effective) * plan.weights.itemsize
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


def _lif_parameters(plan: Plan) -> int:
    """Decay and threshold; in float32 resistance, leak and reset besides."""
    return 2 if plan.integer else 5
