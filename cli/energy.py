"""`spikegpt energy-report` and `profiles`: what a model costs per token, at whose prices."""

import json
import platform
import shlex
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import yaml

from cli.inputs import (
    Learned,
    Taken,
    checkpoint_options,
    data_option,
    is_lowered,
    load_graph,
    load_model,
    load_record,
    load_text,
    progress_bar,
    source_of,
    split_option,
    tokenizer_of,
    tokenizer_option,
    variant_of,
)
from cli.parameters import NewFolder, Real, force_option
from spikegpt import __version__, files, folders
from spikegpt.config import PRESETS, TRANSFORMER, preset
from spikegpt.errors import UserError

if TYPE_CHECKING:
    from hw_sim.energy.measure import Measurement

REGRESSED = 1  # exit code
KIND, FORMS = "report", ("report.json", "report.md", "report.html")  # of the folder --out, and its files
MODES = click.Choice(["decode", "mean", "prefill"])


@click.command("energy-report")
@click.argument("models", type=str, nargs=-1)
@click.option("--preset", "size", type=click.Choice(list(PRESETS)), help="No checkpoint: this shape at assumed rates.")
@click.option("--rate", type=Real(0, 1), help="Assumed density of all matrix inputs, with --preset.")
@click.option("--rates", type=click.Path(path_type=Path), help="YAML: part of a block to its density, with --preset.")
@data_option
@tokenizer_option
@checkpoint_options
@split_option
@click.option("--tokens", type=click.IntRange(2), default=4096, show_default=True, help="Tokens to measure on.")
@click.option("--context", type=click.IntRange(1), default=1024, show_default=True, help="Context of the Transformer.")
@click.option("--mode", type=MODES, default="decode", show_default=True, help="The Transformer's token.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Streams that share weight reads.")
@click.option("--profile", "names", multiple=True, help="Prices: a name of `spikegpt profiles` or a YAML file.")
@click.option("--precision", "precisions", multiple=True, type=click.Choice(["fp32", "fp16", "int8"]))
@click.option("--placement", type=click.Path(path_type=Path), help="JSON of a mapping: messages, hops, cores, chips.")
@click.option("--baselines", type=click.Choice(["gpt", "all"]), default="gpt", show_default=True)
@click.option("--baseline", type=click.Path(path_type=Path), help="Earlier report.json; exit code 1 on a regression.")
@click.option("--max-increase", default="5%", show_default=True, help="Of SynOps or energy over --baseline.")
@click.option("--out", type=NewFolder(), help="Folder for report.json, .md and .html; others' files in it stay.")
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the tables.")
def energy_report(models: tuple[str, ...], size: str | None, rate: float | None, rates: Path | None, data: str | None,
                  tokenizer: str | None, split: str | None, tokens: int, context: int, mode: str, batch: int,
                  names: tuple[str, ...], precisions: tuple[str, ...], placement: Path | None, baselines: str,
                  baseline: Path | None, max_increase: str, out: Path | None, force: bool, as_json: bool,
                  taken: Taken) -> None:  # fmt: skip
    """What models cost per token against a Transformer of their shape, measured on a text or from assumed rates.

    Example: spikegpt energy-report models/kjv-spike-driven.pt --out out/report, or
    spikegpt energy-report --preset 260m --rate 0.15
    """
    from hw_sim.energy import profiles as prices
    from hw_sim.energy import report as energy
    from hw_sim.energy.price import read_placement

    if bool(models) == bool(size):
        raise UserError("name checkpoints or a --preset, one of the two")
    if out is not None:
        folders.check(out, KIND, force=force, shared=FORMS)
    limit = fraction(max_increase)
    earlier = read_report(baseline) if baseline else None
    settings = energy.Settings(
        context=context,
        batch=batch,
        mode=mode,
        priced={p.name: p for p in map(prices.load, names)} if names else prices.shipped(),
        precisions=precisions,
        placement=read_placement(placement) if placement else None,
        baselines=baselines == "all",
    )
    provenance = {
        "command": shlex.join(["spikegpt", *sys.argv[1:]]),
        "spikegpt": __version__,
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }
    if size:
        report = energy.build([], settings, what_if=assumed(size, rate, rates), provenance=provenance)
    else:
        if rate is not None or rates is not None:
            raise UserError("--rate and --rates are assumptions for a --preset; a checkpoint is measured")
        report = measured(models, taken, data, tokenizer, split, tokens, settings, provenance, as_json)
    publish(report, out, force, as_json)
    if earlier:
        worse = regressions(earlier, report, limit)
        for line in worse:
            click.echo(line, err=True)
        if worse:
            sys.exit(REGRESSED)


def assumed(size: str, rate: float | None, rates: Path | None) -> tuple:
    """The shape of a preset and its assumed densities. Raises UserError unless exactly one kind is given."""
    from hw_sim.energy.measure import Shape
    from hw_sim.energy.work import PARTS

    if (rate is None) == (rates is None):
        raise UserError("a --preset needs assumed densities: --rate 0.15 or --rates FILE, one of the two")
    config = preset(size)
    shape = Shape(config.n_layer, config.n_embd, config.vocab_size)
    if rates is None:
        return shape, rate
    try:
        values = yaml.safe_load(rates.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{rates}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or set(values) - {"head"} != set(PARTS):
        raise UserError(f"{rates}: needs the keys {', '.join(PARTS)}, and may have head, each a density")
    for part, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise UserError(f"{rates}: {part} = {value!r} must be a density from 0 to 1")
    return shape, values


def measured(models: tuple[str, ...], taken: Taken, data: str | None, tokenizer: str | None, split: str | None,
             tokens: int, settings, provenance: dict, quiet: bool) -> dict:  # fmt: skip
    """Run every model, and the first one quantised, on the same text; returns the report."""
    from dataclasses import replace

    from exporters.loihi.mapping import CHIPS
    from exporters.loihi.mapping.describe import footprint
    from hw_sim import Simulator
    from hw_sim.energy import report as energy
    from hw_sim.energy.measure import measure
    from hw_sim.graph.origin import facts_in
    from hw_sim.graph.quantize import quantize

    found: list[Measurement] = []
    first_text = None
    with progress_bar("measuring", (len(models) + 1) * tokens, quiet) as advance:
        for path in models:
            if is_transformer(path, taken):
                settings = replace(settings, gpt_bits_per_byte=transformer_quality(path, taken, data, split, tokens))
                continue
            graph = load_graph(path, taken, tokenizer)
            variant = variant_of(graph)
            cut = tokenizer_of(path, graph, tokenizer)
            corpus, part = load_text(data, split, tokens, cut, Learned.by_graph(path, graph))
            first_text = first_text or corpus
            others = {m.name for m in found}
            name = variant if variant not in others else f"{variant} ({Path(path).stem})"
            if name in others:
                raise UserError(f"{path}: a model of this variant and name is in the report already")
            found.append(measure(graph, name, variant, part, cut, advance))
            if len(found) == 1:
                if Simulator.from_nir(graph).plan.integer:
                    raise UserError(f"{path} holds int8 matrices; pass the checkpoint or its float .nir file")
                int8_graph = quantize(graph)
                int8 = measure(int8_graph, f"{name}-int8", variant, part, cut, advance)
                plan = Simulator.from_nir(int8_graph).plan
                chips = tuple(footprint(plan, chip, int8.result) for chip in CHIPS)
                settings = replace(settings, footprints=chips if found[0].work.acs else ())
                provenance |= facts_in(graph)
            provenance[f"model_{len(found)}"] = f"{Path(path).name}, sha256 {folders.digest(source_of(path))}"
    if not found or first_text is None:
        raise UserError("a report needs a SpikeGPT; a Transformer only adds its quality to the row gpt-fp32")
    provenance |= {"text": first_text.name, "text_sha256": first_text.sha256}
    return energy.build(found, settings, int8=int8, provenance=provenance)


def is_transformer(path: str, taken: Taken) -> bool:
    """Whether a checkpoint is the float32 baseline."""
    return not is_lowered(path) and load_record(path, taken)["config"].get("variant") == TRANSFORMER


def transformer_quality(path: str, taken: Taken, data: str | None, split: str | None, tokens: int) -> float | None:
    """Bits per byte of a trained Transformer on the same text, in one stream."""
    from spikegpt.evaluate import evaluate

    model = load_model(path, taken)
    _, part = load_text(data, split, tokens, model.tokenizer, Learned.by_model(path, model))
    return evaluate(model, part, streams=1).bits_per_byte


def publish(report: dict, out: Path | None, force: bool, as_json: bool) -> None:
    """Write the report in all its forms, and print one."""
    text = json.dumps(report, indent=1, default=plain)
    if out:
        from hw_sim.energy.html import page
        from hw_sim.energy.markdown import document

        forms = {"report.json": text + "\n", "report.md": document(report), "report.html": page(report)}
        with folders.new_folder(out, KIND, force=force, shared=FORMS) as new:
            for name, content in forms.items():
                files.write_text(new.path / name, content)
    if as_json:
        click.echo(text)
        return
    from cli.tables import print_report

    print_report(report)
    if out:
        click.echo("\n".join(str(out / name) for name in ("report.html", "report.md", "report.json")))


def plain(value: object) -> object:
    """numpy numbers as JSON ones."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} in a report")


def fraction(text: str) -> float:
    """ "5%" or "0.05" as a number. Raises UserError otherwise."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise UserError(f"--max-increase {text!r}: a share such as 5% or 0.05 is needed") from error
    if not 0 <= value < float("inf"):
        raise UserError(f"--max-increase {text!r}: must be at least 0")
    return value


def read_report(path: Path) -> dict:
    """An earlier report. Raises UserError for anything else."""
    from hw_sim.energy.report import SCHEMA

    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a report: {error}") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise UserError(f"{path}: not a report of schema {SCHEMA}")
    return report


def regressions(earlier: dict, now: dict, limit: float) -> list[str]:
    """What rose by more than `limit` (a share) in the model's own row: operations, and energy in every column."""

    def numbers(report: dict) -> dict[str, float]:
        row = next(r for r in report["rows"] if r["name"] == report["model"]["row"])
        return {"SynOps": row["synops"], **{k: v for k, v in row["energy_j"].items() if v is not None}}

    before, after = numbers(earlier), numbers(now)
    return [
        f"{key} per token rose by {after[key] / before[key] - 1:.1%}, more than {limit:.1%}: "
        f"{before[key]:.6g} -> {after[key]:.6g}"
        for key in before
        if key in after and after[key] > before[key] * (1 + limit)
    ]


@click.command()
@click.argument("files", type=str, nargs=-1)
@click.option("--json", "as_json", is_flag=True)
def profiles(files: tuple[str, ...], as_json: bool) -> None:
    """List the price tables with grade and source; FILES are checked against the schema and listed too.

    Example: spikegpt profiles, or spikegpt profiles mine.yaml
    """
    from hw_sim.energy import profiles as prices

    known = {**prices.shipped(), **{p.name: p for p in map(prices.load, files)}}
    if as_json:
        click.echo(json.dumps({name: asdict(p) for name, p in known.items()}))
        return
    for name, p in known.items():
        click.echo(f"{name}  ({p.grade}; {', '.join(p.precisions)})\n  {p.title}\n  source: {p.source}")
        click.echo(f"  unpriced: {', '.join(p.unpriced) or 'nothing'}")
