"""What a model does for one token or for many, as exact counts: measured by the simulator, or derived from shapes.

Counting rules (after NeuroBench, Yik et al. 2025): an operation of a matrix is an accumulate (`ac`) only where the
structure guarantees binary inputs; every other one is a multiply-accumulate (`mac`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hw_sim.counts.counts import Result
from hw_sim.counts.nodes import ELEMENTWISE, elementwise_totals, node_counts
from hw_sim.plan import Plan

MAC, AC, GRADED = "mac", "ac", "graded"  # real inputs; binary by structure; integer events (multiply and add)
DECODE, MEAN, PREFILL = "decode", "mean", "prefill"
MODES = (DECODE, MEAN, PREFILL)  # a Transformer's token: at position t, averaged over a window, all of a prompt at once
PARTS = {  # part of a block -> (fan-in, fan-out) in units of d
    "att_key": (1, 1), "att_value": (1, 1), "att_receptance": (1, 1), "att_output": (1, 1),
    "ffn_key": (1, 4), "ffn_receptance": (1, 1), "ffn_value": (4, 1),
}  # fmt: skip


@dataclass(frozen=True)
class MatrixWork:
    """Operations of one matrix: `effective` done out of `dense`, of a kind; `weights` is its size (0: none stored)."""

    name: str
    kind: str
    effective: int
    dense: int
    weights: int
    fan_out: int = 0


@dataclass(frozen=True)
class Work:
    """All counts of a model over `tokens` tokens.

    `kv_read` and `kv_written` are words of a Transformer's cache, `kv_words` the size of it all, which lies in
    `kv_tensors` tensors (keys and values of every layer apart, as weights lie matrix by matrix); `neurons` LIF updates,
    of which `active` had an input event; `measured` says whether activity was observed or follows from shapes alone.
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
    kv_tensors: int = 1
    state_words: int = 0  # kept between tokens, read and written once a token
    reuse: int = 1  # tokens that share one read of a weight whatever the batch: a whole prompt in prefill

    @property
    def dense(self) -> int:
        return sum(m.dense for m in self.matrices)

    @property
    def macs(self) -> int:
        return sum(m.effective for m in self.matrices if m.kind == MAC)

    @property
    def acs(self) -> int:
        return sum(m.effective for m in self.matrices if m.kind == AC)

    @property
    def graded(self) -> int:
        return sum(m.effective for m in self.matrices if m.kind == GRADED)


def elementwise_of(counts: Mapping[str, int]) -> dict[str, int]:
    """All kinds in their order, absent ones as zero."""
    return {kind: counts.get(kind, 0) for kind in ELEMENTWISE}


def measured(name: str, plan: Plan, result: Result) -> Work:
    """The counts of a simulated run."""
    matrices = tuple(
        MatrixWork(
            m.name,
            AC if m.spike_fed else GRADED if m.graded else MAC,
            m.effective,
            m.dense,
            m.fan_in * m.fan_out,
            m.fan_out,
        )
        for m in result.matrices
    )
    tokens = result.matrices[0].tokens
    return Work(
        name,
        tokens,
        matrices,
        elementwise_totals(node_counts(plan, result)),
        measured=True,
        state_words=len(plan.state) * tokens,
        neurons=sum(p.updates for p in result.populations),
        active=sum(p.active for p in result.populations),
        spikes=sum(p.spikes for p in result.populations),
    )


def gpt(name: str, n_layer: int, d: int, vocab: int, context: int, mode: str = DECODE) -> Work:
    """One token of a GPT of the same shape, keys and values cached.

    12 L d^2 + d V + 2 t d L multiply-accumulates at position t = `context` (Kaplan et al. 2020, arXiv 2001.08361,
    table 1); "mean" averages over positions 1 to `context`: d (T + 1) L of attention; "prefill" has the same count,
    with weights read once for the whole prompt and no cache read back. Element-wise, in
    units of d a layer: two LayerNorms, two residuals, GELU on 4 d (counted as 4 mul, 3 add, 1 exp, 1 div each);
    softmax over t positions for each head of width 64.
    """
    shapes = {"q": (d, d), "k": (d, d), "v": (d, d), "projection": (d, d), "fc": (d, 4 * d), "fc_out": (4 * d, d)}
    matrices = [
        MatrixWork(f"block{i}_{part}", MAC, a * b, a * b, a * b)
        for i in range(n_layer)
        for part, (a, b) in shapes.items()
    ]
    attended = 2 * context if mode == DECODE else context + 1  # twice the mean position
    attention = attended * d
    matrices += [MatrixWork(f"block{i}_attention", MAC, attention, attention, 0) for i in range(n_layer)]
    matrices.append(MatrixWork("head", MAC, d * vocab, d * vocab, d * vocab))
    softmax = n_layer * max(1, d // 64) * attended // 2
    units = n_layer * d
    elementwise = {
        "mul": units * (6 + 16) + 3 * d + softmax,
        "add": units * (8 + 2 + 12) + 4 * d + softmax,
        "cmp": softmax,
        "exp": units * 4 + softmax,
        "div": units * 4 + softmax + 3 * (2 * n_layer + 1),
        "sqrt": 2 * n_layer + 1,
    }
    return Work(
        name, 1, tuple(matrices), elementwise, measured=False,
        kv_read=0 if mode == PREFILL else attended * d * n_layer, kv_written=2 * d * n_layer,
        kv_words=2 * context * d * n_layer, kv_tensors=2 * n_layer, reuse=context if mode == PREFILL else 1,
    )  # fmt: skip


def spikegpt(variant: str, n_layer: int, d: int, vocab: int, density: float | Mapping[str, float] = 0.0) -> Work:
    """One token of a SpikeGPT variant, spike-driven in its newest form, from shapes alone: 13 L d^2 + d V operations.

    `density` is the assumed share of active matrix inputs of the spike-driven variant, one number or one for each of
    PARTS and "head" (left out, the head has their mean by fan-out); the others are dense (zeros behind relu^2 are not
    known without a run).
    """
    spiking = variant == "spike-driven"
    given = density if isinstance(density, Mapping) else dict.fromkeys(PARTS, density)
    mean = sum(given[part] * a * b for part, (a, b) in PARTS.items()) / sum(a * b for a, b in PARTS.values())
    share = {part: given.get(part, mean) if spiking else 1.0 for part in (*PARTS, "head")}
    kind = AC if spiking else MAC
    matrices = [
        MatrixWork(f"block{i}_{part}", kind, round(share[part] * a * b * d * d), a * b * d * d, a * b * d * d, b * d)
        for i in range(n_layer)
        for part, (a, b) in PARTS.items()
    ]
    matrices.append(MatrixWork("head", kind, round(share["head"] * d * vocab), d * vocab, d * vocab, vocab))
    # In units of d: LIF neurons of a block; operations of its norms, shifts and relu^2.
    lifs = {"spike-driven": 10, "canonical": 2, "continuous": 0}[variant]
    units = n_layer * d
    neurons = lifs * units + spiking * d
    if spiking:  # memoryless; norms without weight and bias
        mul, add, cmp, updates = 4 + 10, 6 + 5, 0, {"cmp": neurons}
    else:
        mul, add, cmp, updates = 6 + 10 + 4, 8 + 5, 4, {"mul": neurons, "add": 2 * neurons, "cmp": neurons}
    elementwise = {  # and of WKV, two gates and two residuals
        "mul": units * (mul + 4 + 2) + (2 if spiking else 3) * d + updates.get("mul", 0),
        "add": units * (add + 8 + 2 + 2) + (3 if spiking else 4) * d + updates.get("add", 0),
        "cmp": units * (cmp + 2) + updates["cmp"],
        "exp": units * (2 + 2),
        "div": units * (1 + 2) + 3 * (2 * n_layer + 1),
        "sqrt": 2 * n_layer + 1,
    }
    sent = round(units * sum(share[part] * a for part, (a, _) in PARTS.items()) + share["head"] * d) if spiking else 0
    return Work(
        variant, 1, tuple(matrices), elementwise, measured=False, neurons=neurons,
        active=sent if spiking else neurons, spikes=sent, state_words=units * 5 + neurons,
    )  # fmt: skip
