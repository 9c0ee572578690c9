"""Speed of the event-driven simulator against PyTorch, SANA-FE, Lava and memory bandwidth.

    python bench/simulate.py [--json] [--plot bench/simulate.svg] [--tokens 256] [--rounds 7]

One process, both sides warm, medians over rounds in which the contenders take turns. The 45m shape has random weights
whose gains are set so that every population fires at a given density, as in trained models; the shipped model runs on
its own text. PyTorch takes the recurrent float32 step at the number of threads that is fastest. SANA-FE's row needs
`pip install sanafe==2.2.9`, Lava's needs lava-nc; each is left out otherwise. Stop other work on the machine first.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import torch
from contest import SHIPPED, random_model
from machine import bandwidth, counting_cost, linearity, plot
from rivals import against_lava, against_sana_fe, against_torch

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
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    facts: dict = {"models": {}}
    for density in args.densities:
        print(f"45m at density {density} ...", file=sys.stderr)
        model = random_model(density)
        tokens = np.random.default_rng(0).integers(0, model.config.vocab_size, args.tokens)
        facts["models"][f"45m, density {density}"] = against_torch(model, tokens, args.rounds)
    print("shipped model ...", file=sys.stderr)
    text = np.asarray(load_corpus().split("test")[: 4 * args.tokens], np.int64)
    facts["models"]["shipped"] = against_torch(spikegpt.load(SHIPPED), text, args.rounds)
    graph = quantize(exporter.export(random_model(0.15)))
    facts["counting_cost"] = counting_cost(build(graph), np.arange(args.tokens) % 5458, args.rounds)
    threads = facts["models"]["shipped"]["int8"]["threads"]
    most = max(m["int8"]["threads"] for m in facts["models"].values())
    facts["read_bytes_per_s"] = {n: bandwidth(n, args.rounds) for n in {1, threads, most}}
    for name in ("ratio_vs_torch_fp32", "bandwidth_fraction"):
        facts[name] = {precision: {} for precision in PRECISIONS}
    for label, row in facts["models"].items():
        for precision in PRECISIONS:
            one = row[precision]
            key = label.removeprefix("45m, density ")
            facts["ratio_vs_torch_fp32"][precision][key] = one["ratio_vs_torch_fp32"]
            facts["bandwidth_fraction"][precision][key] = (
                one["weight_bytes_per_s"] / facts["read_bytes_per_s"][one["threads"]]
            )
    if importlib.util.find_spec("sanafe"):
        print("SANA-FE ...", file=sys.stderr)
        facts["sana_fe"] = against_sana_fe(args.rounds)
    if importlib.util.find_spec("lava"):
        print("Lava ...", file=sys.stderr)
        facts["lava"] = against_lava(args.rounds)
        facts["ratio_vs_lava"] = facts["lava"].pop("ratio_vs_lava")
    if args.plot:
        print("density and layers ...", file=sys.stderr)
        facts["linearity"] = linearity(args.rounds, args.tokens)
        plot(facts["linearity"], args.plot)
    print(json.dumps(facts, indent=1) if args.json else report(facts))


def report(facts: dict) -> str:
    """The facts as text."""
    lines = []
    for label, row in facts["models"].items():
        lines.append(f"{label}: PyTorch float32 step {row['torch_ms_per_token']:.2f} ms a token")
        for precision in PRECISIONS:
            one, key = row[precision], label.removeprefix("45m, density ")
            lines.append(
                f"  {precision:8} {one['ms_per_token']:.3f} ms, {one['ratio_vs_torch_fp32']:.1f}x; "
                f"{one['synaptic_events_per_s'] / 1e9:.2f} G synaptic events/s; weights read at "
                f"{one['weight_bytes_per_s'] / 1e9:.1f} GB/s = {facts['bandwidth_fraction'][precision][key]:.0%} of "
                f"the machine's with {one['threads']} threads"
            )
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
