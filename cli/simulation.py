"""What `spikegpt simulate` says of a run: a dictionary for machines, and a text made of it."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from cli.layout import folded, table
from hw_sim.counts.compare import LOGITS
from spikegpt.tokenizer import Tokenizer

if TYPE_CHECKING:
    from hw_sim.counts.counts import MatrixCount
    from hw_sim.plan import Plan
    from hw_sim.run.streams import Score

POPULATIONS = ("population", "neurons", "spikes/\ntoken each", "dead", "saturated", "updates\nwith input")

BLOCK, SHARES = re.compile(r"^block\d+_"), ("density", "rate")


def facts_of(
    plan: "Plan", score: "Score", streams: Sequence[np.ndarray], units: Tokenizer, elapsed_s: float
) -> dict[str, Any]:
    """Quality, speed and exact counts of streams of tokens that took `elapsed_s` together."""
    from hw_sim.counts.nodes import elementwise_totals, node_counts

    counts, n = score.counts, sum(map(len, streams))
    nodes = node_counts(plan, counts)
    predicted_bytes = sum(len(units.decode(stream[1:])) for stream in streams)
    return {
        "tokens": n,
        "streams": len(streams),
        "precision": "int8" if plan.integer else "float32",
        "bits_per_byte": score.nats / math.log(2) / predicted_bytes,
        "tokens_per_s": n / elapsed_s,
        "synops": counts.synops,
        "graded": counts.graded,
        "macs": counts.macs,
        "dense": counts.dense,
        "elementwise": elementwise_totals(nodes),
        "matrices": {
            m.name: {"input": input_of(m), "density": m.density, "operations": m.effective} for m in counts.matrices
        },
        "spikes": counts.spike_counts,
        "populations": {
            p.name: {
                "neurons": p.neurons,
                "rate": p.spikes / p.updates,
                "dead": p.dead,
                "saturated": p.saturated,
                "active_updates": p.active,
                "idle_updates": p.updates - p.active,
            }
            for p in counts.populations
        },
        "nodes": [{k: v for k, v in asdict(node).items() if v is not None} for node in nodes.values()],
    }


def input_of(matrix: "MatrixCount") -> str:
    """What reaches a matrix: spikes by structure, integer events, or real numbers."""
    return "spikes" if matrix.spike_fed else "graded" if matrix.graded else "real"


def over_blocks(named: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What matrices or populations of one kind have together: shares are means, as all blocks have one shape."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for name, facts in named.items():
        kinds.setdefault(BLOCK.sub("block*_", name), []).append(facts)
    return {
        kind: {key: _together(key, [facts[key] for facts in alike]) for key in alike[0]}
        for kind, alike in kinds.items()
    }


def _together(key: str, values: list) -> Any:
    if key == "input":
        return values[0]
    return sum(values) / len(values) if key in SHARES else sum(values)


def summary(facts: dict[str, Any], by_block: bool) -> str:
    """The facts of a simulation as text: one line a matrix and a population, of each block or all, totals below."""
    n, each = facts["tokens"], dict if by_block else over_blocks
    matrices = [
        (name, m["input"], f"{m['density']:.4f}", f"{m['operations'] / n:,.0f}")
        for name, m in each(facts["matrices"]).items()
    ]
    shown = [table(("matrix", "input", "density", "operations/token"), matrices, ("input",))]
    if facts["populations"]:
        populations = [
            (name, f"{p['neurons']:,}", f"{p['rate']:.4f}", f"{p['dead']:,}", f"{p['saturated']:,}",
             f"{p['active_updates'] / (p['active_updates'] + p['idle_updates']):.1%}")
            for name, p in each(facts["populations"]).items()
        ]  # fmt: skip
        shown.append(table(POPULATIONS, populations))
    lines = []
    predicted = n - facts["streams"]
    streams = f" in {facts['streams']} streams" if facts["streams"] > 1 else ""
    lines.append(
        f"{facts['precision']}: {facts['bits_per_byte']:.4f} bits per byte over {predicted:,} tokens{streams} of "
        f"{facts['text']}; {facts['tokens_per_s']:,.0f} tokens/s"
    )
    graded = f" + {facts['graded'] / n:,.0f} graded SynOps" if facts["graded"] else ""
    lines.append(
        f"per token: {facts['synops'] / n:,.0f} binary SynOps{graded} + {facts['macs'] / n:,.0f} MACs of "
        f"{facts['dense'] / n:,.0f} dense operations; {sum(facts['spikes'].values()) / n:,.0f} spikes"
    )
    if chip := facts.get("chip"):
        lines.append(
            f"{chip['chip']} at most, modelled over {chip['tokens']:,} tokens: {chip['tokens_per_s']:,.0f} tokens/s of "
            f"a known text, {chip['tokens_per_s_alone']:,.0f} of one being written "
            f"({chip['latency_s'] * 1e6:,.0f} us in {chip['steps_per_token']} steps); "
            f"the slowest core is {chip['slowest_core']}"
        )
    for key, other in (("lava", "Lava"), ("verify", "PyTorch")):
        if key in facts:
            v = facts[key]
            lines.append(
                f"against {other}: {v['spike_mismatches']} of {v['spike_positions']:,} spikes differ "
                f"({v['spike_agreement']:.6%} agree), largest logit difference {v['max_logit_difference']:.3g}"
            )
    if "verify" in facts:
        lines.append(verdict(facts["verify"], n))
    return "\n".join((*shown, *map(folded, lines)))


def verdict(found: dict[str, Any], tokens: int) -> str:
    """What was compared, within which tolerance, and whether it agrees."""
    line = f"{'agrees' if found['agrees'] else 'DISAGREES'}: {found['tolerance']:.4g} of the spikes may differ"
    if not found["logits_compared"]:
        return f"{line}; logits are not compared, as int8 and float32 give others"
    before = found["tokens_before_a_spike_differs"]
    where = f"over the {before:,} tokens before a spike does" if before < tokens else f"over all {tokens:,} tokens"
    return f"{line}, and logits by {LOGITS:g} of the largest, {where} ({found['max_logit_difference_before']:.3g})"
