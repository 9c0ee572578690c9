"""The rows of docs/results.md: quality, activity, operations and energy of trained models, counted on real text.

    python bench/results.py RUN.. --data TEXT --out docs/results.json [--page docs/results.md] [--plot docs/pareto.svg]

RUN is a folder of `spikegpt train`. A row of the same name is replaced, so that the file grows run by run; rows with a
`note` are trials whose checkpoint is gone, entered by hand from a log. Operations are those of the event-driven
simulator on the validation part; the 45m columns put the measured densities, averaged over layers by part of the block,
into the shape L = 12, d = 512, V = 256.
"""

import argparse
import csv
import json
import statistics
from pathlib import Path

import numpy as np

import spikegpt
from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.energy import price, profiles, work
from hw_sim.energy.measure import bits_per_byte
from hw_sim.graph.quantize import quantize
from spikegpt.config import SPIKE_DRIVEN, TRANSFORMER
from spikegpt.corpus import load_corpus
from spikegpt.tokenizer import Bytes

CONTEXT = 1024  # of the Transformer that operations and energy are compared with
LARGE = (12, 512, 256)  # layers, width, vocabulary: the 45m shape on bytes
COUNTED = 32_768  # tokens of the validation part that operations are counted on
COLUMNS = {  # name -> (profile, precision, batch)
    "compute fp32": ("45nm-compute", "fp32", 1),
    "compute int8": ("45nm-compute", "int8", 1),
    "memory fp32, batch 1": ("45nm-memory", "fp32", 1),
    "memory fp32, batch 8": ("45nm-memory", "fp32", 8),
    "memory int8, batch 1": ("45nm-memory", "int8", 1),
    "memory int8, batch 8": ("45nm-memory", "int8", 8),
}
WHOLE = "compute fp32, element-wise too"
MARK = "<!-- table {} -->"


def measure(run: Path, data: str | None) -> dict:
    """Everything that the tables say of one run."""
    facts = json.loads((run / "run.json").read_text())
    config, made = facts["config"], facts["provenance"]
    with (run / "log.csv").open() as file:
        log = list(csv.DictReader(file))
    per_row = int(log[0]["tokens"])
    row = {
        "name": run.name,
        "variant": config["variant"],
        "shape": [config["n_layer"], config["n_embd"], config["vocab_size"]],
        "parameters": made["parameters"],
        "text": made["text"],
        "text_sha256": made["text_sha256"],
        "seed": made["train_seed"],
        "steps": made["train_steps"],
        "tokens": int(log[-1]["tokens"]),
        "lr": made["train_lr"],
        "budget": made.get("train_density"),
        "teacher": made.get("teacher"),
        "minutes": sum(per_row / float(r["tokens_per_s"]) for r in log) / 60,
        "bits_per_byte": facts["valid"]["bits_per_byte"],
    }
    if config["variant"] == TRANSFORMER:
        gpt = work.gpt("gpt", *row["shape"], CONTEXT)
        return {**row, "operations": gpt.dense, "macs": gpt.dense, "acs": 0}
    graph = exporter.export(spikegpt.load(run / "model.pt"))
    text = np.asarray(load_corpus(data).split("valid")[:COUNTED], np.int64)
    counted = {p: Simulator.from_nir(g).run(text) for p, g in (("float", graph), ("int8", quantize(graph)))}
    result = counted["float"]
    row |= {p: bits_per_byte(r.logits, text, Bytes()) for p, r in counted.items()}
    row |= {"macs": result.macs / len(text), "acs": result.synops / len(text)}
    row["operations"] = row["macs"] + row["acs"]
    spiking = config["variant"] == SPIKE_DRIVEN
    parts = {part: [m.density for m in result.matrices if m.name.endswith(part)] for part in work.PARTS}
    density = {part: statistics.mean(values) for part, values in parts.items()}
    if spiking:
        row["density"] = density
        row["weighted_density"] = result.synops / sum(m.dense for m in result.matrices if m.spike_fed)
    own = work.measured("own", Simulator.from_nir(graph).plan, result)
    row["own shape"] = against_gpt(own, row["shape"])
    row["45m shape"] = against_gpt(work.spikegpt(config["variant"], *LARGE, density), LARGE)
    return row


def against_gpt(ours: work.Work, shape: tuple[int, int, int]) -> dict:
    """How many times the operations and joules of a Transformer of this shape are ours, at equal prices."""
    gpt, known = work.gpt("gpt", *shape, CONTEXT), profiles.shipped()
    ratios = {"operations": gpt.dense * ours.tokens / (ours.acs + ours.macs)}
    for column, (name, precision, batch) in COLUMNS.items():
        theirs, own = (price.price(w, known[name], precision, batch=batch) for w in (gpt, ours))
        assert theirs is not None and own is not None  # 45 nm prices both
        ratios[column] = theirs.total_j / own.total_j
    prices = known["45nm-compute"].precisions["fp32"]
    whole = [price.price(w, known["45nm-compute"], "fp32").total_j + elementwise_j(w, prices) for w in (gpt, ours)]
    ratios[WHOLE] = whole[0] / whole[1]
    return {"synops": (ours.acs + ours.macs) / ours.tokens, "ratios": ratios}


def elementwise_j(w: work.Work, prices: dict[str, float]) -> float:
    """Joules a token of what lies outside the matrices: cmp at the price of an add, exp, div and sqrt at a mul's."""
    add, mul = prices["ac_j"], prices["mac_j"] - prices["ac_j"]
    unit = {"mul": mul, "add": add, "cmp": add, "exp": mul, "div": mul, "sqrt": mul}
    return sum(count * unit[kind] for kind, count in w.elementwise.items()) / w.tokens


def tables(rows: list[dict]) -> dict[str, str]:
    """The tables of docs/results.md by name, in Markdown."""
    quality = [
        [r["name"], r["variant"], f"{r['lr']:g}", r["seed"], f"{r['tokens'] / 1e6:.1f} M",
         f"{r['bits_per_byte']:.{3 if 'note' in r else 4}f}",
         f"{r['weighted_density']:.4f}" if "weighted_density" in r else "-",
         f"{r['operations']:,.0f}{r.get('operations_are', '')}",
         f"{r['minutes']:.0f}" if "minutes" in r else "-", r.get("note", "distilled" if r["teacher"] else "")]
        for r in sorted(rows, key=lambda r: (-r["tokens"], r["bits_per_byte"]))
    ]  # fmt: skip
    rates = [
        [r["name"], *(f"{r['density'][part]:.3f}" for part in work.PARTS), f"{r['weighted_density']:.4f}"]
        for r in rows
        if "density" in r
    ]
    energy = [
        [r["name"], f"{r[shape]['synops']:,.0f}", *(f"{v:.1f}x" for v in r[shape]["ratios"].values())]
        for shape in ("45m shape", "own shape")
        for r in rows
        if shape in r
    ]
    int8 = [[r["name"], f"{r['float']:.4f}", f"{r['int8']:.4f}", f"{r['int8'] / r['float'] - 1:+.2%}"]
            for r in rows if "int8" in r]  # fmt: skip
    half = len(energy) // 2
    head = ["run", "SynOps a token", "operations", *COLUMNS, WHOLE]
    return {
        "quality": markdown(["run", "variant", "lr", "seed", "tokens", "valid bits/byte", "density", "operations",
                             "minutes", "note"], quality),
        "density": markdown(["run", *work.PARTS, "weighted"], rates),
        "45m": markdown(head, energy[:half]),
        "own": markdown(head, energy[half:]),
        "int8": markdown(["run", "float", "int8", "change"], int8),
    }  # fmt: skip


def markdown(head: list[str], rows: list[list]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def fill(page: Path, found: dict[str, str]) -> None:
    """Put each table between its two marks in a page."""
    text = page.read_text()
    for name, table in found.items():
        before, _, after = text.partition(MARK.format(name))
        _, _, behind = after.partition(MARK.format("end"))
        assert behind, f"{page} lacks the marks of table {name}"
        text = f"{before}{MARK.format(name)}\n{table}\n{MARK.format('end')}{behind}"
    page.write_text(text)


def plot(rows: list[dict], path: Path) -> None:
    """Bits per byte against operations a token, every trial; equal tokens are one colour."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    markers = {SPIKE_DRIVEN: "o", "canonical": "s", "continuous": "^", TRANSFORMER: "D"}
    budgets = sorted({r["tokens"] for r in rows})
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for r in rows:
        colour = f"C{budgets.index(r['tokens'])}"
        face = "none" if r.get("teacher") else colour
        axis.scatter(
            r["operations"], r["bits_per_byte"], 36, marker=markers[r["variant"]], edgecolors=colour, facecolors=face
        )
    shapes = {tuple(r["shape"]) for r in rows}
    for shape in shapes:
        limit = work.gpt("gpt", *shape, CONTEXT).dense / 22
        axis.axvline(limit, color="0.6", linestyle=":", label=f"1/22 of a Transformer {shape[0]} x {shape[1]}")
    for variant, marker in markers.items():
        axis.scatter([], [], marker=marker, color="0.3", label=variant)
    for k, tokens in enumerate(budgets):
        axis.scatter([], [], marker="o", color=f"C{k}", label=f"{tokens / 1e6:.1f} M tokens seen")
    axis.scatter([], [], marker="o", color="0.3", facecolors="none", label="distilled")
    axis.set(xscale="log", xlabel="operations a token (SynOps + MACs)", ylabel="validation bits per byte")
    axis.legend(fontsize=7, ncols=2)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--data", help="the text they were trained on; default: the embedded one")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="a Markdown page with marks to fill tables in between")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    rows = {row["name"]: row for row in (json.loads(args.out.read_text()) if args.out.exists() else [])}
    for run in args.runs:
        rows[run.name] = measure(run, args.data)
        args.out.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    if args.page:
        fill(args.page, tables(list(rows.values())))
    if args.plot:
        plot(list(rows.values()), args.plot)


if __name__ == "__main__":
    main()
