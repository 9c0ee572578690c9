"""What int8 and fixed point cost a network on a text: spikes, rounding by channel, head room of the fields.

Everything is measured on both networks side by side; nothing here changes either.
"""

import math
from dataclasses import dataclass

import nir
import numpy as np

from hw_sim import Simulator
from hw_sim.plan import Op, Plan
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.interpreter import Interpreter

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


def calibrate(exact: nir.NIRGraph, rounded: nir.NIRGraph, plan: Plan, tokens: np.ndarray) -> dict:
    """Compare the float graph with its int8 form, whose plan is `plan`, on tokens (T,); plain numbers."""
    shown = tokens[: int(np.clip(RANGE_WORK // plan.weights.size, *RANGE_TOKENS))]
    matrices = [plan.names[i] for op in SUMS for i in plan.rows(op)]
    return {
        "tokens": len(tokens),
        **compare_spikes(Simulator.from_nir(exact), Simulator(plan), tokens),
        "matrices": {name: worst_channel(exact.nodes[name].weight, rounded.nodes[name].weight) for name in matrices},
        "ranges_on_tokens": len(shown),
        "ranges": {r.kind: {"largest": r.largest, "node": r.node, "field_bits": r.field_bits,
                            "headroom_bits": round(r.headroom_bits, 2)} for r in ranges(plan, shown)},
    }  # fmt: skip


def compare_spikes(exact: Simulator, rounded: Simulator, tokens: np.ndarray) -> dict:
    """The share of equal spikes by population, both networks on one text (T,) from the start."""
    equal: dict[str, int] = {}
    spikes: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}
    for low in range(0, len(tokens), CHUNK):
        a, b = (simulator.run(tokens[low : low + CHUNK], record=True).spikes for simulator in (exact, rounded))
        for name, train in a.items():
            equal[name] = equal.get(name, 0) + int((train == b[name]).sum())
            sizes[name] = sizes.get(name, 0) + train.size
            fired = spikes.setdefault(name, [0, 0])
            fired[:] = fired[0] + int(train.sum()), fired[1] + int(b[name].sum())
    return {
        "spike_agreement": sum(equal.values()) / sum(sizes.values()) if sizes else 1.0,
        "populations": {
            name: {"agreement": equal[name] / sizes[name], "spikes_float": fired[0], "spikes_int8": fired[1]}
            for name, fired in spikes.items()
        },
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


def table(facts: dict) -> str:
    """The cost as Markdown: code length as `settings.measure` gives it, then the facts of `calibrate`."""
    measured, lines = facts["measured"], []
    if "increase" in measured:
        lines.append(
            f"{measured['float_bits_per_byte']:.4f} bits per byte in float32, {measured['exported_bits_per_byte']:.4f} "
            f"as exported ({measured['increase']:+.2%}), on {measured['tokens']:,} tokens of {measured['text']}."
        )
    lines += [
        f"{facts['spike_agreement']:.3%} of the spikes agree, on {facts['calibrated_on']}.",
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
        lines += ["", "Without head room a number saturates, as its arithmetic specifies."]
    return "\n".join(lines) + "\n"
