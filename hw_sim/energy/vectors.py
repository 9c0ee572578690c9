"""Element-wise work of a list of operations, and the vectors they move: one rule for plans, shapes and Transformers.

Every operation reads its operands and writes its result as a vector, once a token, as the plan does when it runs; what
a fused kernel would keep in registers is an alternative of the profiles.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from hw_sim.energy.work import Tensor, merged
from hw_sim.plan.ops import OPERATIONS, Op, Operation, Row

COMPONENTS = {  # operation of the plan -> component, as prices name it
    Op.LAYER_NORM: "layer_norm",
    Op.WKV: "wkv",
    Op.SIGMOID: "sigmoid",
    Op.MULTIPLY: "gate",
    Op.SCALE: "mixing",  # token shift, gain
    Op.ADD: "mixing",  # token shift, residual
    Op.SQUARED_RELU: "squared_relu",
    Op.LI: "neurons",
    Op.OFFSET: "mixing",
    Op.POOL: "mixing",
    **{op: "neurons" for op, operation in OPERATIONS.items() if operation.fires},
}
# Element-wise operations a channel of what a Transformer or an LSTM has besides; softmax: a score, its maximum kept.
OTHERS: dict[str, dict[str, int]] = {
    "gelu": {"mul": 4, "add": 3, "exp": 1, "div": 1},  # tanh form
    "relu": {"cmp": 1},
    "softmax": {"mul": 1, "add": 1, "cmp": 1, "exp": 1, "div": 1},
    "tanh": {"mul": 1, "add": 2, "exp": 1, "div": 1},
    "feature_map": {"exp": 1, "add": 1, "cmp": 1},  # elu(x) + 1, or one random feature
}
COMPONENT_OF = {"relu": "gelu", "tanh": "sigmoid", "feature_map": "softmax"}  # priced as
MOVED = {"gelu": 2, "relu": 2, "softmax": 0, "tanh": 2, "feature_map": 2}  # vectors; scores of attention are not stored


class Task(NamedTuple):
    """One operation, done for a token: `op` of the plan, or a key of OTHERS; a matrix reads `n_in`, all give `width`.

    `read` are the inputs of a matrix that are fetched over all tokens: events, or all of them. `marked`: a row with
    a shift, by which the plan says that neurons are memoryless and that a norm is bare.
    """

    op: Op | str
    width: int
    n_in: int = 0
    read: int = 0
    copies: int = 1
    marked: bool = False


class Vectors(NamedTuple):
    """What `vector_work` finds."""

    components: dict[str, dict[str, int]]
    channels: dict[str, int]
    tensors: tuple[Tensor, ...]


def vector_work(operations: Iterable[Task], tokens: int = 1) -> Vectors:
    """Element-wise operations by component and kind, channels computed, and vectors moved, over `tokens` tokens."""
    components: dict[str, Counter[str]] = {}
    channels: Counter[str] = Counter()
    tensors: list[Tensor] = []
    for o in operations:
        if isinstance(o.op, str):
            name, moves = COMPONENT_OF.get(o.op, o.op), MOVED[o.op]
            done = {kind: count * o.width for kind, count in OTHERS[o.op].items()}
        elif OPERATIONS[o.op].matrix:
            tensors.append(Tensor("activations", o.n_in, o.read, copies=o.copies))
            tensors.append(Tensor("activations", o.width, o.width * tokens, copies=o.copies))
            continue
        else:
            operation = OPERATIONS[o.op]
            name, done = COMPONENTS.get(o.op, o.op.name.lower()), operation.elementwise(row_of(o, o.op))
            moves = len(operation.reads) + operation.writes
            tensors += _kept(o, operation, tokens)
        if done:
            kinds = components.setdefault(name, Counter())
            channels[name] += o.width * tokens * o.copies
            kinds.update({kind: count * tokens * o.copies for kind, count in done.items()})
        if moves:
            tensors.append(Tensor("activations", o.width, moves * o.width * tokens, copies=o.copies))
    return Vectors(
        {k: dict(v) for k, v in components.items()}, dict(channels), merged(t for t in tensors if t.moved and t.copies)
    )


def row_of(o: Task, op: Op) -> Row:
    """An operation of the plan as a row of its table, which lies nowhere."""
    return Row(op, 0, 0, o.n_in, o.width, 0, 0, 0, 0, int(o.marked), 0)


def _kept(o: Task, operation: Operation, tokens: int) -> list[Tensor]:
    """The constant vectors that an operation of the plan reads, and the vectors of its state."""
    row = row_of(o, operation.op)
    constants = sum(shape == (o.width,) for shape in operation.parameters(row, integer=True))
    read = operation.state_read if operation.looks_back(row) else 0
    vectors = max(operation.state_read, operation.state_written, 1)
    kept = (read + operation.state_written) * o.width * tokens // vectors
    return [
        Tensor("parameters", o.width, o.width * tokens, shared=True, copies=constants * o.copies),
        Tensor("state", o.width, kept, copies=vectors * o.copies),
    ]
