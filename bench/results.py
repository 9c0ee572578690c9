"""The rows of docs/results.md: quality, activity, operations and energy of trained models, counted on real text.

    python bench/results.py RUN.. --data TEXT --out docs/results.json [--page docs/results.md] [--plot docs/pareto.svg]

RUN is a folder of `spikegpt train`. A row of the same name is replaced, so that the file grows run by run; rows with a
`note` are trials whose checkpoint is gone, entered by hand from a log. Operations are those of the event-driven
simulator on the validation part. Ratios are those of the energy report, element-wise work included, with the range
that the prices leave: of the trained shape at the context of training, and of the measured densities, averaged over
layers by part of the block, in the shape of the preset 45m at its context.
"""

import argparse
import csv
import json
import statistics
from pathlib import Path

import numpy as np

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.energy.front import figure
from hw_sim.energy.measure import bits_per_byte
from hw_sim.energy.price import costs
from hw_sim.energy.schema import Shape
from hw_sim.energy.settings import Settings
from hw_sim.energy.shapes import PARTS, gpt, spikegpt
from hw_sim.energy.work import Work
from hw_sim.graph.quantize import quantize
from spikegpt import checkpoint
from spikegpt.config import PRESETS, SPIKE_DRIVEN, TRANSFORMER
from spikegpt.corpus import load_corpus
from spikegpt.tokenizer import Bytes

CONTEXT = 256  # that all models of the page were trained at
LARGE = PRESETS["45m"]
COUNTED = 32_768  # tokens of the validation part that operations are counted on
COLUMNS = {  # name -> (price column, batch)
    "compute fp32": ("45nm-compute-fp32", 1),
    "compute int8": ("45nm-compute-int8", 1),
    "memory fp32": ("45nm-memory-fp32", 1),
    "memory fp32, batch 8": ("45nm-memory-fp32", 8),
    "memory int8": ("45nm-memory-int8", 1),
    "memory int8, batch 8": ("45nm-memory-int8", 8),
}
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
        dense = gpt("gpt", Shape(*row["shape"]), CONTEXT).dense
        return {**row, "operations": dense, "macs": dense, "acs": 0}
    graph = exporter.export(checkpoint.load(run / "model.pt"))
    text = np.asarray(load_corpus(data).split("valid")[:COUNTED], np.int64)
    counted = {p: Simulator.from_nir(g).run(text) for p, g in (("float", graph), ("int8", quantize(graph)))}
    result = counted["float"]
    row |= {p: bits_per_byte(r.logits, text, Bytes()) for p, r in counted.items()}
    row |= {"macs": result.macs / len(text), "acs": result.synops / len(text)}
    row["operations"] = row["macs"] + row["acs"]
    parts = {part: [m.density for m in result.matrices if m.name.endswith(part)] for part in PARTS}
    row["density"] = {part: statistics.mean(values) for part, values in parts.items()}
    if config["variant"] == SPIKE_DRIVEN:
        head = next(m for m in result.matrices if m.name == "head")
        if head.spike_fed:
            row["density"]["head"] = head.density
        row["weighted_density"] = result.synops / sum(m.dense for m in result.matrices if m.spike_fed)
    return row | shapes_of(row)


def shapes_of(row: dict) -> dict:
    """The ratios of a row in both shapes, from its densities."""
    large = Shape(LARGE.n_layer, LARGE.n_embd, LARGE.vocab_size)
    return {
        "own shape": against_gpt(row, Shape(*row["shape"]), CONTEXT),
        "45m shape": against_gpt(row, large, LARGE.ctx_len),
    }


def against_gpt(row: dict, shape: Shape, context: int) -> dict:
    """Operations, and how many times those and the joules of a Transformer of this shape are ours, at equal prices:
    ratio, lowest, highest."""
    density = row["density"] if row["variant"] == SPIKE_DRIVEN else {"ffn_value": row["density"]["ffn_value"]}
    ours = spikegpt(row["variant"], row["variant"], shape, density, spiking_head="head" in density)
    theirs = gpt("gpt", shape, context)
    ratios: dict[str, list[float]] = {}
    for batch in sorted({batch for _, batch in COLUMNS.values()}):
        settings = Settings(batch=batch)
        own, other = costs(ours, settings), costs(theirs, settings)
        for name, (column, streams) in COLUMNS.items():
            if streams == batch:
                found = {a: other[column][a].total_j / own[column][a].total_j for a in own[column]}
                ratios[name] = [found[""], min(found.values()), max(found.values())]
    return {
        "synops": ours.synops,
        "all_operations": everything(ours),
        "operations": theirs.synops / ours.synops,
        "operations, all": everything(theirs) / everything(ours),
        "ratios": {name: ratios[name] for name in COLUMNS},
    }


def everything(work: Work) -> int:
    """Operations of the matrices and element-wise ones."""
    return work.synops + sum(work.elementwise.values())


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
        [r["name"], *(f"{r['density'][part]:.3f}" for part in PARTS), f"{r['weighted_density']:.4f}"]
        for r in rows
        if "density" in r and "weighted_density" in r
    ]
    energy = {
        shape: [
            [r["name"], f"{r[shape]['synops']:,.0f}", f"{r[shape]['all_operations']:,.0f}",
             *(f"{figure(r[shape][key])}x" for key in ("operations", "operations, all")),
             *(ranged(*found) for found in r[shape]["ratios"].values())]
            for r in rows
            if shape in r
        ]
        for shape in ("45m shape", "own shape")
    }  # fmt: skip
    int8 = [[r["name"], f"{r['float']:.4f}", f"{r['int8']:.4f}", f"{r['int8'] / r['float'] - 1:+.2%}"]
            for r in rows if "int8" in r]  # fmt: skip
    head = ["run", "operations of matrices", "of all", "GPT over ours: matrices", "all", *COLUMNS]
    return {
        "quality": markdown(["run", "variant", "lr", "seed", "tokens", "valid bits/byte", "density", "operations",
                             "minutes", "note"], quality),
        "density": markdown(["run", *PARTS, "weighted"], rates),
        "45m": markdown(head, energy["45m shape"]),
        "own": markdown(head, energy["own shape"]),
        "int8": markdown(["run", "float", "int8", "change"], int8),
    }  # fmt: skip


def ranged(ratio: float, low: float, high: float) -> str:
    """A ratio with its range: "4.6x (3.3 to 14)"."""
    return f"{figure(ratio)}x ({figure(low)} to {figure(high)})"


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
        limit = gpt("gpt", Shape(*shape), CONTEXT).dense / 15
        axis.axvline(limit, color="0.6", linestyle=":", label=f"1/15 of a Transformer {shape[0]} x {shape[1]}")
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
