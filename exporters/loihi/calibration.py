"""What int8 and fixed point cost a network on a text: code length, spikes, rounding by channel, head room of fields.

Everything is measured on both networks side by side; nothing here changes either.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import nir
import numpy as np

from hw_sim import Simulator
from hw_sim import fixed_point as fp
from hw_sim.interpreter import Interpreter
from hw_sim.plan import Op, Plan

CHUNK = 512  # tokens recorded at a time
RANGE_TOKENS = 16, 128  # at least and at most, of the text, for the ranges of signals
RANGE_WORK = 1 << 29  # weights read for them in all: the interpreter that shows signals is slow
MESSAGE_BITS = 24  # Lava's graded spikes; 32 are advertised for Loihi 2
# Signed bits of the field that each kind of number has to fit.
FIELDS = {
    "matrix sum": 32,
    "LIF input": 18,
    "membrane": 24,
    "WKV numerator": 24,
    "LayerNorm input": 24,
    "message": MESSAGE_BITS,
}
HEADLINE = ("bits_per_token_float", "bits_per_token_int8", "cost", "spike_agreement")
SUMS = (Op.EVENTS, Op.DENSE, Op.SPARSE)


@dataclass(frozen=True)
class Range:
    """The largest magnitude seen of one kind of number, the node where it was, and the signed field it must fit."""

    kind: str
    largest: int
    node: str
    field_bits: int

    @property
    def headroom_bits(self) -> float:
        """Doublings left before the field is full; negative where it saturated."""
        return math.log2(((1 << self.field_bits - 1) - 1) / max(1, self.largest))


def calibrate(
    exact: nir.NIRGraph, rounded: nir.NIRGraph, plan: Plan, tokens: np.ndarray, progress: Callable[[int], None]
) -> dict:
    """Compare the float graph with its int8 form, whose plan is `plan`, on tokens (T,), T >= 2.

    Returns plain numbers for quantisation.json; a code length is in bits per token. `progress` is told tokens done.
    """
    shown = tokens[: int(np.clip(RANGE_WORK // plan.weights.size, *RANGE_TOKENS))]
    compared = compare_runs(Simulator.from_nir(exact), Simulator(plan), tokens, progress)
    return {
        "tokens": len(tokens),
        **compared,
        "matrices": {name: worst_channel(exact.nodes[name].weight, rounded.nodes[name].weight)
                     for name, node in rounded.nodes.items()
                     if isinstance(node, nir.Linear) and plan.table[plan.names.index(name), 0] != Op.EMBED},
        "ranges_on_tokens": len(shown),
        "ranges": {r.kind: {"largest": r.largest, "node": r.node, "field_bits": r.field_bits,
                            "headroom_bits": round(r.headroom_bits, 2)} for r in ranges(plan, shown)},
    }  # fmt: skip


def compare_runs(exact: Simulator, rounded: Simulator, tokens: np.ndarray, progress: Callable[[int], None]) -> dict:
    """Code lengths of both networks and the share of equal spikes by population, on one text from the start."""
    nats = np.zeros(2)
    equal: dict[str, int] = {}
    spikes: dict[str, list[int]] = {}
    for low in range(0, len(tokens), CHUNK):
        part = tokens[low : low + CHUNK]
        runs = [simulator.run(part, record=True) for simulator in (exact, rounded)]
        following = tokens[low + 1 : low + 1 + CHUNK]
        nats += [_nats(run.logits[: len(following)], following) for run in runs]
        for name, train in runs[0].spikes.items():
            equal[name] = equal.get(name, 0) + int((train == runs[1].spikes[name]).sum())
            counts = spikes.setdefault(name, [0, 0])
            counts[:] = [count + int(run.spikes[name].sum()) for count, run in zip(counts, runs, strict=True)]
        progress(len(part))
    a, b = (float(n) / math.log(2) / (len(tokens) - 1) for n in nats)
    populations = {
        p.name: {"agreement": equal[p.name] / (p.neurons * len(tokens)),
                 "spikes_float": spikes[p.name][0], "spikes_int8": spikes[p.name][1]}
        for p in runs[0].populations
    }  # fmt: skip
    neurons = sum(p.neurons for p in runs[0].populations)
    return {
        "bits_per_token_float": a,
        "bits_per_token_int8": b,
        "cost": b / a - 1,
        "spike_agreement": sum(equal.values()) / (neurons * len(tokens)) if neurons else 1.0,
        "populations": populations,
    }


def worst_channel(weight: np.ndarray, rounded: np.ndarray) -> dict:
    """The output channel of a matrix (n_out, n_in) that rounding moved most, by |w - s q| / |w|, s the best scale."""
    w, q = weight.astype(np.float64), rounded.astype(np.float64)
    scale = (w * q).sum(axis=1) / np.maximum((q * q).sum(axis=1), 1)
    size = np.linalg.norm(w, axis=1)
    error = np.linalg.norm(w - scale[:, None] * q, axis=1) / np.where(size > 0, size, 1)
    worst = int(error.argmax())
    return {"worst_channel": worst, "relative_error": float(error[worst]), "median_error": float(np.median(error))}


def ranges(plan: Plan, tokens: np.ndarray) -> tuple[Range, ...]:
    """The largest magnitudes of an integer plan on tokens (T,), by kind of number, before any of them saturates."""
    interpreter = Interpreter(plan)
    seen: dict[str, tuple[int, str]] = {}

    def see(kind: str, values: np.ndarray, name: str) -> None:
        largest = int(np.abs(values).max(initial=0))
        if largest >= seen.get(kind, (0, ""))[0]:
            seen[kind] = largest, name

    for token in tokens:
        for name, row in zip(plan.names, plan.table.tolist(), strict=True):
            op, x, y, n_in, n_out, _, c, s = row[:8]
            inputs = interpreter.signals[x : x + n_in].copy()
            if op == Op.LIF:
                decay, v = plan.constants[c : c + n_out].astype(np.int64), interpreter.state[s : s + n_out]
                see("LIF input", inputs, name)
                see("membrane", fp.kept(v, decay) + (inputs << fp.CURRENT_SHIFT), name)
            elif op == Op.LAYER_NORM:
                see("LayerNorm input", inputs, name)
            interpreter.execute(row, int(token))
            if op == Op.WKV:
                see("WKV numerator", interpreter.state[s : s + n_out], name)
            if op not in (Op.DELAY_WRITE, Op.OUTPUT, Op.LIF):
                see("matrix sum" if op in SUMS else "message", interpreter.signals[y : y + n_out], name)
    return tuple(Range(kind, *seen[kind], bits) for kind, bits in FIELDS.items() if kind in seen)


def _nats(logits: np.ndarray, following: np.ndarray) -> float:
    """-ln p summed over the tokens (n,) that follow logits (n, V)."""
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    return float(np.log(np.exp(z).sum(axis=1)).sum() - z[np.arange(len(z)), following].sum())


def table(facts: dict) -> str:
    """The facts of `calibrate` as Markdown: quality, then populations, matrices and fields."""
    bits = facts["unit"]
    lines = [
        f"{facts['bits_per_token_float']:.4f} {bits} in float32, {facts['bits_per_token_int8']:.4f} in integers "
        f"({facts['cost']:+.2%}); {facts['spike_agreement']:.3%} of the spikes agree. Measured on {facts['text']}.",
        "",
        "| population | spikes, float | spikes, int8 | agreement |",
        "|---|---|---|---|",
        *(f"| {name} | {p['spikes_float']:,} | {p['spikes_int8']:,} | {p['agreement']:.3%} |"
          for name, p in facts["populations"].items()),
        "",
        "| matrix | worst channel | its rounding error | median error |",
        "|---|---|---|---|",
        *(f"| {name} | {m['worst_channel']} | {m['relative_error']:.2%} | {m['median_error']:.2%} |"
          for name, m in facts["matrices"].items()),
        "",
        f"| number, on the first {facts['ranges_on_tokens']} tokens | largest | at | field, bits | head room, bits |",
        "|---|---|---|---|---|",
        *(f"| {kind} | {r['largest']:,} | {r['node']} | {r['field_bits']} | {r['headroom_bits']:.1f} |"
          for kind, r in facts["ranges"].items()),
    ]  # fmt: skip
    if any(r["headroom_bits"] < 0 for r in facts["ranges"].values()):
        lines += ["", "Without head room a number saturates; a LIF input that does is beyond every threshold."]
    return "\n".join(lines) + "\n"
