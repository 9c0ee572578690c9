"""The other systems of the paper's table as analytic rows: the operations and tensors of one token, from shapes.

All have the layers, width and vocabulary of the subject. Published bits per character are those of the paper, for its
own shapes (arXiv 2302.13939, tables 1 and 2: enwik8, test, L = 12, d = 512, T = 1024, Unicode characters; read second
hand).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from hw_sim.energy.schema import Shape
from hw_sim.energy.shapes import named
from hw_sim.energy.vectors import Task, vector_work
from hw_sim.energy.work import MAC, MatrixWork, Tensor, Work, merged
from hw_sim.plan import Op

HASHES, BUCKET = 4, 64  # Reformer's published defaults: rounds of hashing, chunk length
FEATURES = 256  # random features of a Performer head's kernel, the default of its code
HEAD = 64  # width of a head


@dataclass
class Layer:
    """What one layer of a system holds and does for a token."""

    matrices: list[MatrixWork] = field(default_factory=list)
    operations: list[Task] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)  # state and cache
    state_words: int = 0
    kv_words: int = 0

    def matrix(self, name: str, fan_in: int, fan_out: int, weights: int | None = None) -> None:
        """A dense matrix; `weights` 0: a product with something that was computed."""
        size = fan_in * fan_out
        self.matrices.append(MatrixWork(name, MAC, size, size, size if weights is None else weights, fan_out))
        self.operations.append(Task(Op.DENSE, fan_out, fan_in, fan_in))

    def vector(self, op: Op | str, width: int) -> None:
        self.operations.append(Task(op, width))

    def state(self, words: int) -> None:
        """A state read and written once a token."""
        self.tensors.append(Tensor("state", words, 2 * words))
        self.state_words += words

    def cache(self, words: int, read: int, written: int) -> None:
        """A growing cache of `words`, of which a token reads and writes some."""
        self.tensors.append(Tensor("kv", words, read + written))
        self.kv_words += words


def _block(d: int, mixing: dict[str, tuple[int, int]]) -> Layer:
    """A Transformer's layer around its mixing of tokens: norms, residuals, the matrices of `mixing`, an MLP of 4 d."""
    layer = Layer()
    for name, (a, b) in {**mixing, "fc": (d, 4 * d), "fc_out": (4 * d, d)}.items():
        layer.matrix(name, a, b)
    for op in (Op.LAYER_NORM, Op.LAYER_NORM, Op.ADD, Op.ADD):
        layer.vector(op, d)
    layer.vector("gelu", 4 * d)
    return layer


def _reformer(d: int, t: int) -> Layer:
    layer = _block(d, {"qk": (d, d), "v": (d, d), "projection": (d, d)})  # queries and keys share one matrix
    seen = min(t, 2 * BUCKET) * HASHES  # a chunk attends to itself and the one before it, in every round
    layer.matrix("attention", 2 * seen, d, 0)
    layer.matrix("hashing", HASHES * max(1, t // BUCKET) // 2, d, 0)
    layer.vector("softmax", seen * max(1, d // HEAD))
    layer.cache(2 * t * d, 2 * seen * d, 2 * d)
    return layer


def _synthesizer(d: int, t: int) -> Layer:
    layer = _block(d, {"w1": (d, d), "w2": (d, t), "v": (d, d), "projection": (d, d)})
    layer.matrix("mixing", t, d, 0)
    layer.vector("relu", d)
    layer.vector("softmax", t)
    layer.cache(t * d, t * d, d)
    return layer


def _linear(d: int, t: int) -> Layer:
    layer = _block(d, {"q": (d, d), "k": (d, d), "v": (d, d), "projection": (d, d)})
    layer.matrix("mixing", 2 * HEAD, d, 0)  # k v^T into the state, q times the state
    layer.vector("feature_map", 2 * d)
    layer.state(d * HEAD + d)  # and the normaliser
    return layer


def _performer(d: int, t: int) -> Layer:
    layer = _block(d, {"q": (d, d), "k": (d, d), "v": (d, d), "projection": (d, d)})
    layer.matrix("features", 2 * FEATURES, d, HEAD * FEATURES)  # of q and k; the projection is shared by the heads
    layer.matrix("mixing", 2 * FEATURES, d, 0)
    layer.vector("feature_map", 2 * FEATURES * max(1, d // HEAD))
    layer.state((d + max(1, d // HEAD)) * FEATURES)
    return layer


def _gates(layer: Layer, d: int) -> None:
    layer.vector(Op.SIGMOID, 3 * d)
    layer.vector("tanh", 2 * d)
    layer.vector(Op.MULTIPLY, 3 * d)
    layer.vector(Op.ADD, d)
    layer.state(2 * d)


def _lstm(d: int, t: int) -> Layer:
    layer = Layer()
    layer.matrix("input", d, 4 * d)
    layer.matrix("recurrent", d, 4 * d)
    _gates(layer, d)
    return layer


def _sha_lstm(d: int, t: int) -> Layer:
    layer = _lstm(d, t)
    layer.matrix("boom_up", d, 4 * d)
    layer.matrix("boom_down", 4 * d, d)
    layer.vector("gelu", 4 * d)
    for op in (Op.LAYER_NORM, Op.LAYER_NORM, Op.ADD):
        layer.vector(op, d)
    return layer


@dataclass(frozen=True)
class Baseline:
    """One system: what it computes a token, where that comes from, and what its paper row scored."""

    name: str
    layer: Callable[[int, int], Layer]
    formula: str
    reference: str
    bits_per_character: float

    def work(self, shape: Shape, context: int, prompt: int = 1) -> Work:
        """One token of a model of this shape in a window of `context` tokens."""
        n, d, layer = shape.n_layer, shape.d, self.layer(shape.d, context)
        head = MatrixWork("head", MAC, d * shape.vocab, d * shape.vocab, d * shape.vocab, shape.vocab)
        ends = [Task(Op.EMBED, d), Task(Op.LAYER_NORM, d), Task(Op.DENSE, shape.vocab, d, d)]
        found = vector_work([o._replace(copies=n) for o in layer.operations] + ends)
        kept = [Tensor(t.role, t.words, t.moved, copies=n) for t in layer.tensors]
        table = Tensor("embedding", shape.vocab * d, d)
        return Work(
            self.name, 1, (*named(layer.matrices, n), head), found.components, found.channels,
            merged([*found.tensors, *kept, table]), counted=False, prompt=prompt,
            kv_words=n * layer.kv_words, state_words=n * layer.state_words,
        )  # fmt: skip


BASELINES = (
    Baseline(
        "reformer", _reformer,
        "11 L d^2 + L (2 * 4 min(T, 128) d + 4 d (T / 64) / 2) + d V",
        "Kitaev et al. 2020, arXiv 2001.04451: shared queries and keys, 4 rounds of hashing, chunks of 64",
        1.195,
    ),
    Baseline(
        "synthesizer", _synthesizer,
        "L (11 d^2 + d T + T d) + d V",
        "Tay et al. 2021, arXiv 2005.00743, dense Synthesizer: weights W2 relu(W1 x) instead of query times key",
        1.298,
    ),
    Baseline(
        "linear-transformer", _linear,
        "12 L d^2 + 2 L d * 64 + d V",
        "Katharopoulos et al. 2020, arXiv 2006.16236: a state of 64 x 64 a head",
        1.207,
    ),
    Baseline(
        "performer", _performer,
        "12 L d^2 + 4 L d * 256 + d V",
        "Choromanski et al. 2021, arXiv 2009.14794: 256 random features a head",
        1.199,
    ),
    Baseline("stacked-lstm", _lstm, "8 L d^2 + d V", "Hochreiter and Schmidhuber 1997; the paper has 7 layers", 1.670),
    Baseline(
        "sha-lstm", _sha_lstm,
        "16 L d^2 + d V",
        "Merity 2019, arXiv 1911.11423, without attention: LSTM and Boom layer; the paper has 4 layers of width 1024",
        1.330,
    ),
)  # fmt: skip
