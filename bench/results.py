"""The rows of docs/results.md: quality, activity, operations and energy of trained models, counted on real text.

    python -m bench.results CKPT.. --data TEXT --out docs/results.json [--page docs/results.md] [--plot docs/pareto.svg]

A row of the same name is replaced, so that the file grows model by model; rows with a `note` are trials whose
checkpoint was not kept, entered from the log of the run. Bits per byte are those of `spikegpt eval --split valid`,
operations those of the event-driven simulator on its first tokens. Ratios are those of the energy report, element-wise
work included, with the range that the prices leave: of the trained shape at the context of training, and of the
measured densities, averaged over layers by part of the block, in the shapes of the paper at their context.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import spikegpt
from bench.results_plot import plot
from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.energy.front import figure
from hw_sim.energy.measure import bits_per_byte
from hw_sim.energy.price import costs
from hw_sim.energy.schema import Shape
from hw_sim.energy.settings import Settings
from hw_sim.energy.shapes import PARTS, gpt
from hw_sim.energy.shapes import spikegpt as work_of
from hw_sim.energy.work import Work
from hw_sim.graph.quantize import quantize
from spikegpt.config import PRESETS, SPIKE_DRIVEN, TRANSFORMER
from spikegpt.corpus import load_corpus
from spikegpt.evaluation import evaluate

CONTEXT = 256  # that all models of the page were trained at
PAPER = {name: PRESETS[name] for name in ("45m", "125m", "216m", "260m")}
BYTES = 256  # the vocabulary of all models but those of the second table
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


def measure(path: Path, data: str | None) -> dict[str, Any]:
    """Everything that the tables say of one checkpoint."""
    model = spikegpt.load(path)
    config, made = model.config, model.provenance
    valid = load_corpus(data).split("valid")
    row: dict[str, Any] = {
        "name": path.parent.name if path.stem == "model" else path.stem,
        "variant": config.variant,
        "shape": [config.n_layer, config.n_embd, config.vocab_size],
        "parameters": config.n_parameters,
        "text_sha256": made["text_sha256"],
        "seed": made["train_seed"],
        "tokens": made["train_steps"] * made["train_batch"] * made["train_ctx"],
        "lr": made["train_lr"],
        "budget": made.get("train_density"),
        "teacher": made.get("teacher"),
        "bits_per_byte": (score := evaluate(model, valid)).bits_per_byte,
        "bytes_per_token": score.bits_per_token / score.bits_per_byte,
    }
    if config.variant == TRANSFORMER:
        return {**row, "operations": gpt("gpt", Shape(*row["shape"]), CONTEXT).dense}
    graph = exporter.export(model)
    text = np.asarray(valid[:COUNTED], np.int64)
    counted = {p: Simulator.from_nir(g).run(text) for p, g in (("float", graph), ("int8", quantize(graph)))}
    result = counted["float"]
    row |= {p: bits_per_byte(r.logits, text, model.tokenizer) for p, r in counted.items()}
    row |= {"macs": result.macs / len(text), "acs": result.synops / len(text)}
    row["operations"] = row["macs"] + row["acs"]
    parts = {part: [m.density for m in result.matrices if m.name.endswith(part)] for part in PARTS}
    row["density"] = {part: statistics.mean(values) for part, values in parts.items()}
    if config.variant == SPIKE_DRIVEN:
        head = next(m for m in result.matrices if m.name == "head")
        if head.spike_fed:
            row["density"]["head"] = head.density
        row["weighted_density"] = result.synops / sum(m.dense for m in result.matrices if m.spike_fed)
    return row | shapes_of(row)


def shapes_of(row: dict[str, Any]) -> dict[str, Any]:
    """What follows from a row's densities: operations and energy at its own shape, ratios there and at the paper's."""
    own = against_gpt(row, Shape(*row["shape"]), CONTEXT)
    if row["variant"] != SPIKE_DRIVEN:
        return {"own shape": own}
    paper = {n: against_gpt(row, Shape(p.n_layer, p.n_embd, p.vocab_size), p.ctx_len) for n, p in PAPER.items()}
    return {"own shape": own, "paper": paper}


def against_gpt(row: dict[str, Any], shape: Shape, context: int) -> dict[str, Any]:
    """Operations, joules, and how many times those of a Transformer of this shape are ours, at equal prices: ratio,
    lowest, highest."""
    density = row["density"] if row["variant"] == SPIKE_DRIVEN else {"ffn_value": row["density"]["ffn_value"]}
    ours = work_of(row["variant"], row["variant"], shape, density, spiking_head="head" in density)
    theirs = gpt("gpt", shape, context)
    ratios: dict[str, list[float]] = {}
    joules: dict[str, float] = {}
    for batch in sorted({batch for _, batch in COLUMNS.values()}):
        settings = Settings(batch=batch)
        own, other = costs(ours, settings), costs(theirs, settings)
        for name, (column, streams) in COLUMNS.items():
            if streams == batch:
                found = {a: other[column][a].total_j / own[column][a].total_j for a in own[column]}
                ratios[name] = [found[""], min(found.values()), max(found.values())]
                joules[name] = own[column][""].total_j
    return {
        "synops": ours.synops,
        "all_operations": everything(ours),
        "operations": theirs.synops / ours.synops,
        "operations, all": everything(theirs) / everything(ours),
        "ratios": {name: ratios[name] for name in COLUMNS},
        "joules": {name: joules[name] for name in COLUMNS},
    }


def everything(work: Work) -> int:
    """Operations of the matrices and element-wise ones."""
    return work.synops + sum(work.elementwise.values())


def tables(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The tables of docs/results.md by name, in Markdown."""
    rows = sorted(rows, key=lambda r: r["bits_per_byte"])
    kept = [r for r in rows if "note" not in r and r["shape"][-1] == BYTES]
    spiking = [r for r in rows if "paper" in r]
    larger = [r for r in rows if r["shape"][-1] != BYTES]
    head = ["model", "operations of matrices", "of all", "GPT over ours: matrices", "all", *COLUMNS]
    return {
        "quality": markdown(
            ["model", "shape", "lr", "seed", "tokens", "valid bits/byte", "density", "operations", "help"],
            [[*described(r), f"{r['bits_per_byte']:.4f}", *worked(r), "taught" if r["teacher"] else ""] for r in kept],
        ),
        "vocabulary": markdown(
            ["model", "shape", "lr", "seed", "tokens", "valid bits/byte", "density", "operations", "help",
             "density of the head", "operations a byte"],
            [[*described(r), f"{r['bits_per_byte']:.4f}", *worked(r), "taught" if r["teacher"] else "",
              f"{r['density']['head']:.3f}" if "head" in r["density"] else "-",
              f"{r['operations'] / r['bytes_per_token']:,.0f}"] for r in larger],
        ),
        "trials": markdown(
            ["trial", "shape", "lr", "seed", "tokens", "valid bits/byte", "density", "operations", "help", "note"],
            [[*described(r), f"{r['bits_per_byte']:.4f}", *worked(r), "taught" if r["teacher"] else "", r["note"]]
             for r in rows if "note" in r],
        ),
        "density": markdown(
            ["model", *PARTS, "head", "weighted"],
            [[r["name"], *(f"{r['density'][part]:.3f}" for part in PARTS),
              f"{r['density']['head']:.3f}" if "head" in r["density"] else "real numbers",
              f"{r['weighted_density']:.4f}"] for r in spiking],
        ),
        "paper": markdown(
            ["model", *(f"{size}: {of}" for size in PAPER for of in ("matrices", "all"))],
            [[r["name"],
              *(f"{r['paper'][size][key]:.1f}x" for size in PAPER for key in ("operations", "operations, all"))]
             for r in spiking],
        ),
        "own": markdown(
            head,
            [[r["name"], f"{r['own shape']['synops']:,.0f}", f"{r['own shape']['all_operations']:,.0f}",
              *(f"{figure(r['own shape'][key])}x" for key in ("operations", "operations, all")),
              *(ranged(*found) for found in r["own shape"]["ratios"].values())]
             for r in kept if "own shape" in r],
        ),
        "int8": markdown(
            ["model", "float", "int8", "change"],
            [[r["name"], f"{r['float']:.4f}", f"{r['int8']:.4f}", f"{r['int8'] / r['float'] - 1:+.2%}"]
             for r in kept if "int8" in r],
        ),
    }  # fmt: skip


def described(row: dict[str, Any]) -> list[str]:
    layers, width, vocab = row["shape"]
    return [row["name"], f"{layers} x {width}, V = {vocab:,}", f"{row['lr']:g}", row["seed"],
            f"{row['tokens'] / 1e6:.1f} M"]  # fmt: skip


def worked(row: dict[str, Any]) -> list[str]:
    density = f"{row['weighted_density']:.4f}" if "weighted_density" in row else "-"
    return [density, f"{row['operations']:,.0f}{row.get('operations_are', '')}"]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*", type=Path)
    parser.add_argument("--data", help="the text they were trained on; default: the embedded one")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="a Markdown page with marks to fill tables in between")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    rows = {row["name"]: row for row in (json.loads(args.out.read_text()) if args.out.exists() else [])}
    for path in args.checkpoints:
        row = measure(path, args.data)
        rows[row["name"]] = row
        args.out.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    if args.page:
        fill(args.page, tables(list(rows.values())))
    if args.plot:
        plot(list(rows.values()), args.plot)


if __name__ == "__main__":
    main()
