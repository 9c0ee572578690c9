"""What a model does for one token or for many, as exact counts: measured by the simulator, or derived from shapes.

Counting rules (after NeuroBench, Yik et al. 2025): an operation of a matrix is an accumulate (`ac`) only where the
structure guarantees binary inputs; every other one is a multiply-accumulate (`mac`).
"""

from collections import Counter
from dataclasses import dataclass

from hw_sim.plan import Op, Plan
from hw_sim.simulator import Result

MAC, AC = "mac", "ac"
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


@dataclass(frozen=True)
class MatrixWork:
    """Operations of one matrix: `effective` done out of `dense`, of kind MAC or AC; `weights` is its size."""

    name: str
    kind: str
    effective: int
    dense: int
    weights: int


@dataclass(frozen=True)
class Work:
    """All counts of a model over `tokens` tokens.

    `kv_read` and `kv_written` are words of a Transformer's cache, `kv_words` its size; `neurons` LIF updates, of
    which `active` had an input event; `measured` says whether activity was observed or follows from shapes alone.
    """

    name: str
    tokens: int
    matrices: tuple[MatrixWork, ...]
    elementwise: dict[str, int]
    measured: bool
    neurons: int = 0
    active: int = 0
    spikes: int = 0
    kv_read: int = 0
    kv_written: int = 0
    kv_words: int = 0

    @property
    def dense(self) -> int:
        return sum(m.dense for m in self.matrices)

    @property
    def macs(self) -> int:
        return sum(m.effective for m in self.matrices if m.kind == MAC)

    @property
    def acs(self) -> int:
        return sum(m.effective for m in self.matrices if m.kind == AC)


def measured(name: str, plan: Plan, result: Result) -> Work:
    """The counts of a simulated run."""
    tokens = result.matrices[0].tokens
    matrices = tuple(
        MatrixWork(m.name, AC if m.spike_fed else MAC, m.effective, m.dense, m.fan_in * m.fan_out)
        for m in result.matrices
    )
    total: Counter[str] = Counter()
    for op, n in zip(plan.field("op"), plan.field("n_out"), strict=True):
        for kind, count in PER_CHANNEL.get(Op(op), {}).items():
            total[kind] += count * int(n) * tokens
        for kind, count in PER_NODE.get(Op(op), {}).items():
            total[kind] += count * tokens
    return Work(
        name,
        tokens,
        matrices,
        {kind: total[kind] for kind in ELEMENTWISE},
        measured=True,
        neurons=sum(p.updates for p in result.populations),
        active=sum(p.active for p in result.populations),
        spikes=sum(p.spikes for p in result.populations),
    )


def gpt(name: str, n_layer: int, d: int, vocab: int, context: int) -> Work:
    """One token decoded by a GPT of the same shape at position `context`, keys and values cached.

    12 L d^2 + d V + 2 t d L multiply-accumulates (Kaplan et al. 2020, arXiv 2001.08361, table 1). Element-wise, in
    units of d a layer: two LayerNorms, two residuals, GELU on 4 d (counted as 4 mul, 3 add, 1 exp, 1 div each);
    softmax over t positions for each head of width 64.
    """
    shapes = {"qkv": (d, 3 * d), "projection": (d, d), "fc": (d, 4 * d), "fc_out": (4 * d, d)}
    matrices = [
        MatrixWork(f"block{i}_{part}", MAC, a * b, a * b, a * b)
        for i in range(n_layer)
        for part, (a, b) in shapes.items()
    ]
    attention = 2 * context * d
    matrices += [MatrixWork(f"block{i}_attention", MAC, attention, attention, 0) for i in range(n_layer)]
    matrices.append(MatrixWork("head", MAC, d * vocab, d * vocab, d * vocab))
    softmax = n_layer * max(1, d // 64) * context
    units = n_layer * d
    elementwise = {
        "mul": units * (6 + 16) + 3 * d + softmax,
        "add": units * (8 + 2 + 12) + 4 * d + softmax,
        "cmp": softmax,
        "exp": units * 4 + softmax,
        "div": units * 4 + softmax + 3 * (2 * n_layer + 1),
        "sqrt": 2 * n_layer + 1,
    }
    words = 2 * context * d * n_layer
    return Work(
        name, 1, tuple(matrices), elementwise, measured=False,
        kv_read=words, kv_written=2 * d * n_layer, kv_words=words,
    )  # fmt: skip


def spikegpt(variant: str, n_layer: int, d: int, vocab: int, density: float | None = None) -> Work:
    """One token of a SpikeGPT variant from shapes alone: 13 L d^2 + d V operations.

    `density` is the assumed share of active matrix inputs of the spike-driven variant; the others are dense (zeros
    behind relu^2 are not known without a run).
    """
    spiking = variant == "spike-driven"
    share = 1.0 if not spiking else density or 0.0
    shapes = {
        "att_key": (d, d), "att_value": (d, d), "att_receptance": (d, d), "att_output": (d, d),
        "ffn_key": (d, 4 * d), "ffn_receptance": (d, d), "ffn_value": (4 * d, d),
    }  # fmt: skip
    matrices = [
        MatrixWork(f"block{i}_{part}", AC if spiking else MAC, round(share * a * b), a * b, a * b)
        for i in range(n_layer)
        for part, (a, b) in shapes.items()
    ]
    matrices.append(MatrixWork("head", MAC, d * vocab, d * vocab, d * vocab))
    lifs = {"spike-driven": 10, "canonical": 2, "continuous": 0}[variant]
    units = n_layer * d
    hidden = 0 if spiking else 4  # relu^2
    elementwise = {
        "mul": units * (6 + 10 + 6 + hidden + 2 + lifs + spiking) + 3 * d,
        "add": units * (8 + 5 + 10 + 2 + 2 * lifs + 2) + 4 * d,
        "cmp": units * (2 + hidden + lifs),
        "exp": units * (4 + 2),
        "div": units * (1 + 2) + 3 * (2 * n_layer + 1),
        "sqrt": 2 * n_layer + 1,
    }
    neurons = lifs * units
    active = round(share * neurons) if spiking else neurons
    spikes = round(share * neurons) if spiking else 0
    return Work(variant, 1, tuple(matrices), elementwise, False, neurons=neurons, active=active, spikes=spikes)
