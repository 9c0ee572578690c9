"""Speed of the event-driven simulator against the strongest engines, SANA-FE, Lava and memory bandwidth.

    python bench/simulate.py [--json] [--plot bench/simulate.svg] [--tokens 256] [--rounds 7] [--presets 45m 216m]

One process, both sides warm, medians over rounds in which the contenders take turns. A preset has random weights whose
gains are set so that every population fires at a given density, as in trained models; the shipped model runs on its own
text. Every engine (`engines.py`) takes the number of threads that is fastest, and the ratio is to the best of them.
SANA-FE's row needs `pip install sanafe==2.2.9`, Lava's needs lava-nc; each is left out otherwise. Stop other work on
the machine first.
"""

import argparse
import importlib.util
import json
import sys
from itertools import product
from pathlib import Path

import numpy as np
import torch
from contest import SHIPPED, random_model
from machine import bandwidth, counting_cost, linearity, plot
from rivals import against_engines, against_lava, against_sana_fe

import spikegpt
from exporters import nir as exporter
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from spikegpt.corpus import load_corpus

PRECISIONS = ("float32", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--densities", type=float, nargs="+", default=[0.15, 0.05])
    parser.add_argument("--presets", nargs="+", default=["45m"])
    parser.add_argument("--engines-only", action="store_true", help="leave out SANA-FE, Lava and the cost of counting")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    facts: dict = {"models": {}}
    for size, density in product(args.presets, args.densities):
        print(f"{size} at density {density} ...", file=sys.stderr)
        model = random_model(density, size)
        tokens = np.random.default_rng(0).integers(0, model.config.vocab_size, args.tokens)
        facts["models"][f"{size}, density {density}"] = against_engines(model, tokens, args.rounds)
    print("shipped model ...", file=sys.stderr)
    text = np.asarray(load_corpus().split("test")[: 4 * args.tokens], np.int64)
    facts["models"]["shipped"] = against_engines(spikegpt.load(SHIPPED), text, args.rounds)
    threads = {row[precision]["threads"] for row in facts["models"].values() for precision in PRECISIONS}
    facts["read_bytes_per_s"] = {n: bandwidth(n, args.rounds) for n in sorted(threads | {1})}
    for row in facts["models"].values():
        for one in (row[precision] for precision in PRECISIONS):
            one["bandwidth_fraction"] = one["weight_bytes_per_s"] / facts["read_bytes_per_s"][one["threads"]]
    if not args.engines_only:
        facts |= others(args.tokens, args.rounds)
    if args.plot:
        print("density and layers ...", file=sys.stderr)
        facts["linearity"] = linearity(args.rounds, args.tokens)
        plot(facts["linearity"], args.plot)
    print(json.dumps(facts, indent=1) if args.json else report(facts))


def others(tokens: int, rounds: int) -> dict:
    """What counting costs, and the simulators of chips."""
    facts: dict = {}
    graph = quantize(exporter.export(random_model(0.15)))
    facts["counting_cost"] = counting_cost(build(graph), np.arange(tokens) % 5458, rounds)
    if importlib.util.find_spec("sanafe"):
        print("SANA-FE ...", file=sys.stderr)
        facts["sana_fe"] = against_sana_fe(rounds)
    if importlib.util.find_spec("lava"):
        print("Lava ...", file=sys.stderr)
        facts["lava"] = against_lava(rounds)
        facts["ratio_vs_lava"] = facts["lava"].pop("ratio_vs_lava")
    return facts


def report(facts: dict) -> str:
    """The facts as text."""
    lines = []
    for label, row in facts["models"].items():
        lines.append(f"{label}:")
        for use, engines in row["engines"].items():
            told = (f"{name} {e['ms_per_token']:.3f} ms ({e['threads']} threads)" for name, e in engines.items())
            lines.append(f"  {use}: {', '.join(told)}")
        for precision in PRECISIONS:
            one = row[precision]
            ratios = ", ".join(f"{ratio:.2f}x the best {use}" for use, ratio in one["ratio_vs_best"].items())
            lines.append(
                f"  simulator {precision}: {one['ms_per_token']:.3f} ms, {ratios}; "
                f"{one['ratio_vs_torch_fp32']:.1f}x PyTorch's step; density {one['density']:.3f}; "
                f"{one['synaptic_events_per_s'] / 1e9:.2f} G synaptic events/s; weights read at "
                f"{one['weight_bytes_per_s'] / 1e9:.1f} GB/s = {one['bandwidth_fraction']:.0%} of the machine's with "
                f"{one['threads']} threads"
            )
    if "counting_cost" in facts:
        lines.append(f"counters take {facts['counting_cost']:.1%} of the time")
    if "sana_fe" in facts:
        s = facts["sana_fe"]
        lines.append(
            f"512 x 2048: {s['synaptic_events_per_s'] / 1e9:.2f} G events/s, {s['ratio_vs_sana_fe']:.0f}x SANA-FE; "
            f"equal spikes: {s['equal_spikes']} ({s['spikes']:,}); {s['joules']:.4g} J, "
            f"theirs {s['sana_fe_joules']:.4g} J"
        )
    if "lava" in facts:
        v = facts["lava"]
        lines += [
            f"shipped model, int8: {v['tokens_per_s']:,.0f} tokens/s, {facts['ratio_vs_lava'][name]:,.0f}x Lava's "
            f"{v[name]['tokens_per_s']:,.1f} ({name} processes); equal spikes and logits: {v[name]['equal']} "
            f"({v[name]['spikes']:,})"
            for name in facts["ratio_vs_lava"]
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
