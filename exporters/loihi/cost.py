"""What int8 and fixed point cost a network on a text: bits per byte, spikes, rounding by channel, head room of fields.

Everything is measured on both networks side by side; nothing here changes either.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import nir
import numpy as np

from exporters.loihi.settings import Settings
from hw_sim import Result, Simulator
from hw_sim.counts.counts import Counts, nonzero_operations
from hw_sim.plan import Plan
from hw_sim.plan.interpreter import Interpreter
from hw_sim.run.ahead import integers_compiled
from hw_sim.run.streams import score
from spikegpt.corpus import load_corpus
from spikegpt.tokenizer import Tokenizer

FOLDED = 2048  # tokens of the embedded text where nobody says how text becomes tokens
CALIBRATED = 4096  # tokens of the text whose spikes are compared
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


@dataclass(frozen=True)
class Quality:
    """Bits per byte, teacher-forced in one stream from an empty state, over `tokens` tokens but the first."""

    tokens: int
    float_bits_per_byte: float
    exported_bits_per_byte: float

    @property
    def increase(self) -> float:
        """What the exported network needs more, as a share."""
        return self.exported_bits_per_byte / self.float_bits_per_byte - 1


def quality(
    graph: nir.NIRGraph,
    plan: Plan,
    tokens: np.ndarray,
    tokenizer: Tokenizer,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Quality, Counts]:
    """Run tokens (T,) through the float graph and the integer plan; returns their quality and the counts of the plan.

    `progress` is told every count of tokens done, 2 T in all. Raises UserError as the simulator does.
    """
    size = len(tokenizer.decode(tokens[1:]))
    with integers_compiled():
        exact = score(Simulator.from_nir(graph), tokens, progress)
    exported = score(Simulator(plan), tokens, progress)
    bits = (found.nats / math.log(2) / size for found in (exact, exported))
    return Quality(len(tokens), *bits), exported.counts


def code_length(graph: nir.NIRGraph, plan: Plan, settings: Settings) -> tuple[dict[str, Any], Counts]:
    """What quantisation and pruning cost on the text, for the manifest, and the counts of the integer plan.

    Without a text no cost is known: the counts are then those on bytes of the embedded text, folded into the
    vocabulary.
    """
    text = settings.text
    measured: dict[str, Any]
    if settings.recording is not None:
        steps = np.arange(plan.n_vocab)
        counts: Counts = Simulator(plan).run(steps)
        measured = {"recording": settings.recording, "steps": len(steps)}
    elif text is None:
        corpus = load_corpus(None)
        tokens = corpus.split("test")[:FOLDED].astype(np.int64) % plan.n_vocab
        counts = score(Simulator(plan), tokens).counts
        measured = {"text": f"{corpus.name}, test part, its bytes as tokens", "tokens": len(tokens)}
    else:
        found, counts = quality(graph, plan, text.tokens, text.tokenizer, settings.progress)
        measured = {"text": text.name, **asdict(found), "increase": found.increase}
    synops = {"synops": counts.synops, "nonzero_synops": sum(nonzero_operations(plan, counts).values())}
    return {**measured, **synops}, counts


def text_of(settings: Settings, n_vocab: int, most: int) -> tuple[str, np.ndarray]:
    """What a model is looked at on and its first `most` tokens: the text that quality is measured on, else bytes of the
    embedded one."""
    if settings.recording is not None:
        return f"the {n_vocab:,} steps of {settings.recording}", np.arange(n_vocab)[:most]
    if settings.text is not None:
        tokens = settings.text.tokens[:most]
        return f"the first {len(tokens):,} tokens of {settings.text.name}", tokens
    corpus = load_corpus(None)
    tokens = corpus.split("test")[:most].astype(np.int64) % n_vocab
    return f"the first {len(tokens):,} bytes of {corpus.name}, test part, folded into {n_vocab} tokens", tokens


def recorded(plan: Plan, settings: Settings, most: int) -> Result:
    """A run of the first `most` tokens with all its spikes."""
    return Simulator(plan).run(text_of(settings, plan.n_vocab, most)[1], record=True)


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
    matrices = [plan.names[i] for i in plan.matrices]
    return {
        "tokens": len(tokens),
        **compare_spikes(Simulator.from_nir(exact), Simulator(plan), tokens),
        "matrices": {name: worst_channel(exact.nodes[name].weight, rounded.nodes[name].weight) for name in matrices},
        "ranges_on_tokens": len(shown),
        "ranges": {r.kind: {"largest": r.largest, "node": r.node, "field_bits": r.field_bits,
                            "headroom_bits": round(r.headroom_bits, 2)} for r in largest_numbers(plan, shown)},
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
    """The output channel of a matrix (n_out, n_in), or of a kernel (n_out, ..), that rounding moved most, by
    |w - s q| / |w|, s the best scale."""
    w, q = (values.astype(np.float64).reshape(len(values), -1) for values in (weight, rounded))
    scale = (w * q).sum(axis=1) / np.maximum((q * q).sum(axis=1), 1)
    size = np.linalg.norm(w, axis=1)
    error = np.linalg.norm(w - scale[:, None] * q, axis=1) / np.where(size > 0, size, 1)
    worst = int(error.argmax())
    return {"worst_channel": worst, "relative_error": float(error[worst]), "median_error": float(np.median(error))}


def largest_numbers(plan: Plan, tokens: np.ndarray) -> tuple[Range, ...]:
    """The largest magnitudes of an integer plan on tokens (T,), by kind of number, before any of them saturates."""
    interpreter = Interpreter(plan)
    seen: dict[str, tuple[int, str]] = {}

    def see(kind: str, values: np.ndarray, name: str) -> None:
        largest = int(np.abs(values).max(initial=0))
        if largest >= seen.get(kind, (0, ""))[0]:
            seen[kind] = largest, name

    for token in tokens:
        for i, name in enumerate(plan.names):
            operation, _, given, x, _, state, y = interpreter.bound[i]
            read, before = x if x is None else x.copy(), state.copy()  # y may lie where x did
            interpreter.execute(i, int(token))
            for kind, values in operation.inside(given, read, before, state).items():
                see(kind, values, name)
            if operation.writes and not operation.fires:
                see("matrix sum" if operation.matrix else "message", y, name)
    return tuple(Range(kind, *seen[kind], bits) for kind, bits in FIELDS.items() if kind in seen)


def table(facts: dict) -> str:
    """The cost as Markdown: code length as `code_length` gives it, then the facts of `calibrate`."""
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
