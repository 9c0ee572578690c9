"""The work of one token from shapes alone: SpikeGPT in its variants, and Transformers of the same shape."""

from collections.abc import Mapping

from hw_sim.energy.schema import Assumption, Shape
from hw_sim.energy.vectors import Task, vector_work
from hw_sim.energy.work import AC, DECODE, MAC, PREFILL, TERNARY, MatrixWork, Tensor, Work, merged
from hw_sim.plan import Op
from spikegpt.config import HALVES, HEAD_WIDTH, SPIKE_DRIVEN, VARIANTS

PARTS = {  # part of a block -> (fan-in, fan-out) in units of d
    "att_key": (1, 1), "att_value": (1, 1), "att_receptance": (1, 1), "att_output": (1, 1),
    "ffn_key": (1, 4), "ffn_receptance": (1, 1), "ffn_value": (4, 1),
}  # fmt: skip


def spikegpt(
    name: str,
    variant: str,
    shape: Shape,
    density: float | Mapping[str, float] = 1.0,
    *,
    spiking_head: bool = True,
    prompt: int = 1,
    ternary: bool = False,
    assumptions: tuple[Assumption, ...] = (),
) -> Work:
    """One token of a SpikeGPT variant, spike-driven in its newest form: 13 L d^2 + d V operations, nothing skipped.

    `density` is the share of matrix inputs that are active: one number for all matrices of a spike-driven model, or by
    part of a block and for the "head" (left out: their mean by fan-out); the other variants skip none but the zeros
    behind relu^2 ("ffn_value"). Without `spiking_head` a spike-driven model is of the first form: its head reads real
    numbers, its norms are not bare. `ternary`: the body's weights are -1,
    0 or 1, two bits each.
    """
    n, d = shape.n_layer, shape.d
    fed, newest = spike_fed(variant), spiking_head and variant == SPIKE_DRIVEN
    given = density if isinstance(density, Mapping) else dict.fromkeys((*fed, "ffn_value"), density)
    share = {part: given.get(part, 1.0) for part in PARTS}
    mean = sum(share[part] * a * b for part, (a, b) in PARTS.items()) / sum(a * b for a, b in PARTS.values())
    on_head = given.get("head", mean) if newest else 1.0
    kinds = {part: AC if part in fed else TERNARY if ternary else MAC for part in PARTS}
    block = [
        MatrixWork(part, kinds[part], round(share[part] * a * b * d * d), a * b * d * d, a * b * d * d, b * d,
                   2 if ternary else None)
        for part, (a, b) in PARTS.items()
    ]  # fmt: skip
    read = {m.name: round(m.effective / m.fan_out) for m in block}
    dense = d * shape.vocab
    head = MatrixWork("head", AC if newest else MAC, round(on_head * dense), dense, dense, shape.vocab)
    read["head"] = round(head.effective / head.fan_out)
    found = vector_work(operations(variant, shape, read, spiking_head))
    behind = len(VARIANTS[variant].behind) * n * d  # neurons that read sums, and are all updated
    before = sum(PARTS[part][0] for part in fed) * n * d + newest * d
    sent = sum(read[part] for part in fed) * n + newest * read["head"]
    return Work(
        name, 1, (*named(block, n), head), found.components, found.channels,
        (*found.tensors, Tensor("embedding", shape.vocab * d, d)), counted=False, neurons=before + behind,
        active=sent + behind, spikes=sent, state_words=5 * n * d + before + behind, prompt=prompt,
        assumptions=assumptions,
    )  # fmt: skip


def spike_fed(variant: str) -> tuple[str, ...]:
    """The parts of a block whose matrices read spikes."""
    return tuple(part for part in PARTS if part.split("_")[0] in VARIANTS[variant].before)


def operations(variant: str, shape: Shape, read: Mapping[str, int], spiking_head: bool) -> list[Task]:
    """What the plan of a variant does for a token; `read` are the inputs fetched by part of a block, and by the head.

    Spike-driven, neurons are memoryless and gains lie in thresholds; with a spiking head norms are bare.
    """
    d, v, n = shape.d, shape.vocab, shape.n_layer
    fed, newest, memoryless = spike_fed(variant), spiking_head and variant == SPIKE_DRIVEN, VARIANTS[variant].tau == 1
    lif, norm = Task(Op.LIF, d, marked=memoryless), Task(Op.LAYER_NORM, d, marked=newest)

    def matrix(part: str) -> list[Task]:
        a, b = PARTS[part]
        if part in fed:
            return [Task(Op.EVENTS, b * d, a * d, read[part])]
        return [Task(Op.SPARSE if part == "ffn_value" else Op.DENSE, b * d, a * d, a * d)]

    def shifted(part: str) -> list[Task]:
        mixed = [Task(Op.SCALE, d), Task(Op.SCALE, d), Task(Op.ADD, d)]
        return mixed + [lif] * (part in fed) + matrix(part)

    delay = [norm, Task(Op.DELAY_READ, d), Task(Op.DELAY_WRITE, d)]
    gate = [Task(Op.SIGMOID, d), Task(Op.MULTIPLY, d)]
    ends = {half: [lif] * (half in VARIANTS[variant].behind) + [Task(Op.ADD, d)] for half in HALVES}  # residual
    attention = [*delay, *shifted("att_value"), *shifted("att_key"), *shifted("att_receptance"), Task(Op.WKV, d),
                 *gate, *[lif] * ("att_output" in fed), *matrix("att_output"), *ends["att"]]  # fmt: skip
    hidden = Task(Op.LIF, 4 * d, marked=memoryless) if "ffn_value" in fed else Task(Op.SQUARED_RELU, 4 * d)
    ffn = [*delay, *shifted("ffn_key"), hidden, *matrix("ffn_value"), *shifted("ffn_receptance"), *gate, *ends["ffn"]]
    head = [lif, Task(Op.EVENTS, v, d, read["head"])] if newest else [Task(Op.DENSE, v, d, d)]
    around = [Task(Op.EMBED, d), norm, *head]
    return [o._replace(copies=n) for o in attention + ffn] + around


def gpt(
    name: str,
    shape: Shape,
    context: int,
    mode: str = DECODE,
    *,
    kv_heads: int | None = None,
    relu_density: float | None = None,
    assumptions: tuple[Assumption, ...] = (),
) -> Work:
    """One token of a GPT of the same shape, keys and values cached.

    12 L d^2 + d V + 2 t d L multiply-accumulates at position t = `context` (Kaplan et al. 2020, arXiv 2001.08361,
    table 1); "mean" averages over positions 1 to `context`: d (T + 1) L of attention; "prefill" computes the same for a
    prompt of `context` tokens at once, and reads each key and value back once. Scores of attention are never stored.

    `kv_heads` heads of keys and values (default: all; 1 is multi-query attention, Shazeer 2019, arXiv 1911.02150);
    `relu_density` is the share of hidden units not zero, of a network with ReLU instead of GELU.
    """
    n, d = shape.n_layer, shape.d
    heads = max(1, d // HEAD_WIDTH)
    kv = d if kv_heads is None else d * kv_heads // heads
    hidden = 4 * d if relu_density is None else round(relu_density * 4 * d)
    sizes = {"q": (d, d), "k": (d, kv), "v": (d, kv), "projection": (d, d), "fc": (d, 4 * d), "fc_out": (4 * d, d)}
    block = [
        MatrixWork(part, MAC, (hidden if part == "fc_out" else a) * b, a * b, a * b, b)
        for part, (a, b) in sizes.items()
    ]
    attended = 2 * context if mode == DECODE else context + 1  # twice the mean position
    block.append(MatrixWork("attention", MAC, attended * d, attended * d, 0, d))
    head = MatrixWork("head", MAC, d * shape.vocab, d * shape.vocab, d * shape.vocab, shape.vocab)
    layer = [
        *[Task(Op.LAYER_NORM, d), Task(Op.ADD, d)] * 2,
        *[Task(Op.DENSE, b, a, a) for a, b in (*sizes.values(), (d, d))],  # the last: attention, from queries
        Task("softmax", heads * attended // 2),
        Task("gelu" if relu_density is None else "relu", 4 * d),
    ]
    ends = [
        Task(Op.EMBED, d),
        Task(Op.ADD, d),
        Task(Op.LAYER_NORM, d),
        Task(Op.DENSE, shape.vocab, d, d),
    ]
    found = vector_work([o._replace(copies=n) for o in layer] + ends)
    kept = context * kv  # words of one layer's keys
    cache = Tensor("kv", kept, kv + (kv if mode == PREFILL else attended * kv // 2), copies=2 * n)
    tables = [Tensor("embedding", shape.vocab * d, d), Tensor("embedding", context * d, d)]  # and positions
    return Work(
        name, 1, (*named(block, n), head), found.components, found.channels, merged([*found.tensors, cache, *tables]),
        counted=False, kv_words=2 * kept * n, prompt=context if mode == PREFILL else 1, assumptions=assumptions,
    )  # fmt: skip


def named(block: list[MatrixWork], n_layer: int) -> tuple[MatrixWork, ...]:
    """The matrices of a block once for every layer."""
    return tuple(
        MatrixWork(f"block{i}_{m.name}", m.kind, m.effective, m.dense, m.weights, m.fan_out, m.bits)
        for i in range(n_layer)
        for m in block
    )
