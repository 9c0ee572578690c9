"""Element-wise work of a list of operations, and the vectors they move: one rule for plans, shapes and Transformers.

Every operation reads its operands and writes its result as a vector, once a token, as the plan does when it runs; what
a fused kernel would keep in registers is an alternative of the profiles.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from hw_sim.counts.nodes import PARAMETERS, PER_CHANNEL, PER_NODE, STATE_READ, STATE_WRITTEN
from hw_sim.energy.work import Tensor, merged
from hw_sim.plan import Op

COMPONENTS = {  # operation of the plan -> component, as prices name it
    Op.LAYER_NORM: "layer_norm",
    Op.WKV: "wkv",
    Op.SIGMOID: "sigmoid",
    Op.MULTIPLY: "gate",
    Op.SCALE: "mixing",  # token shift, gain
    Op.ADD: "mixing",  # token shift, residual
    Op.SQUARED_RELU: "squared_relu",
    Op.LIF: "neurons",
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
MOVES = {  # vectors of its width that an operation reads and writes
    Op.EMBED: 1,
    Op.COPY: 2,
    Op.ADD: 3,
    Op.SCALE: 2,
    Op.DELAY_READ: 1,
    Op.DELAY_WRITE: 1,
    Op.LAYER_NORM: 2,
    Op.LIF: 2,
    Op.WKV: 3,
    Op.SIGMOID: 2,
    Op.SQUARED_RELU: 2,
    Op.MULTIPLY: 3,
    "gelu": 2,
    "relu": 2,
    "softmax": 0,
    "tanh": 2,
    "feature_map": 2,
}  # fmt: skip; a softmax runs along with its scores, none of which is stored
MATRICES = (Op.EVENTS, Op.DENSE, Op.SPARSE)
LIF_PARAMETERS = 2  # vectors: decay and threshold


class Operation(NamedTuple):
    """One operation of a token: `op` of the plan, or a key of OTHERS; a matrix reads `n_in`, everything gives `width`.

    `read` are the inputs of a matrix that are fetched over all tokens: events, or all of them. `forgets`: a LIF whose
    membrane no later token looks at.
    """

    op: Op | str
    width: int
    n_in: int = 0
    read: int = 0
    copies: int = 1
    forgets: bool = False


class Vectors(NamedTuple):
    """What `vector_work` finds."""

    components: dict[str, dict[str, int]]
    channels: dict[str, int]
    tensors: tuple[Tensor, ...]


def vector_work(operations: Iterable[Operation], tokens: int = 1) -> Vectors:
    """Element-wise operations by component and kind, channels computed, and vectors moved, over `tokens` tokens."""
    components: dict[str, Counter[str]] = {}
    channels: Counter[str] = Counter()
    tensors: list[Tensor] = []
    for o in operations:
        if o.op in MATRICES:
            tensors.append(Tensor("activations", o.n_in, o.read, copies=o.copies))
            tensors.append(Tensor("activations", o.width, o.width * tokens, copies=o.copies))
            continue
        name = COMPONENTS.get(o.op) if isinstance(o.op, Op) else COMPONENT_OF.get(o.op, o.op)
        per_channel = PER_CHANNEL.get(o.op, {}) if isinstance(o.op, Op) else OTHERS[o.op]
        if name:
            kinds = components.setdefault(name, Counter())
            channels[name] += o.width * tokens * o.copies
            for kind, count in per_channel.items():
                kinds[kind] += count * o.width * tokens * o.copies
            for kind, count in PER_NODE.get(o.op, {}).items() if isinstance(o.op, Op) else ():
                kinds[kind] += count * tokens * o.copies
        if moves := MOVES.get(o.op, 0):
            tensors.append(Tensor("activations", o.width, moves * o.width * tokens, copies=o.copies))
        if isinstance(o.op, Op):
            tensors += _kept(o, o.op, tokens)
    return Vectors(
        {k: dict(v) for k, v in components.items()}, dict(channels), merged(t for t in tensors if t.moved and t.copies)
    )


def _kept(o: Operation, op: Op, tokens: int) -> list[Tensor]:
    """The constant vectors that an operation reads, and the vectors of its state."""
    constants = LIF_PARAMETERS if op == Op.LIF else PARAMETERS.get(op, 0)
    read, written = (0 if o.forgets else STATE_READ.get(op, 0)), STATE_WRITTEN.get(op, 0)
    vectors = max(read, written, 1)
    return [
        Tensor("parameters", o.width, o.width * tokens, shared=True, copies=constants * o.copies),
        Tensor("state", o.width, (read + written) * o.width * tokens // vectors, copies=vectors * o.copies),
    ]
