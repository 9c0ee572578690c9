"""`spikegpt energy-report`: what a model costs per token, at whose prices."""

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cli.energy_network import KIND as NETWORK_KIND
from cli.energy_network import compare_networks, publish_network, report_network
from cli.inputs import (
    Learned,
    is_lowered,
    known_tokenizer,
    load_graph,
    load_model,
    load_text,
    network_in,
    source_of,
    tokenizer_of,
)
from cli.options import (
    UNSAID,
    UNTOLD,
    Step,
    Taken,
    checkpoint_options,
    data_option,
    force_option,
    goes_with,
    json_option,
    refuse,
    split_option,
    step_options,
    tokenizer_option,
    tokens_option,
)
from cli.parameters import In, Model, NewFile, NewFolder, Real
from cli.progress import progress_bar
from hw_sim.energy.quality import TOKENS
from spikegpt import __version__, files, folders
from spikegpt.config import PRESETS, preset
from spikegpt.documents import read_document
from spikegpt.errors import UserError
from spikegpt.escape import unicode

if TYPE_CHECKING:
    import numpy as np

    from exporters.energy_report import Opened, Text
    from hw_sim.energy.gate import Compared, Limits, Verdict
    from hw_sim.energy.schema import Report, Shape
    from spikegpt.corpus import Corpus

REGRESSED = 1  # exit code, for nothing else
KIND = "report"  # of the folder --out
# Parameters of what is not in every report.
OF_A_TEXT = ("data", "split", "tokens", "tokenizer", "compressors", "measure_host")
CHECKPOINT = ("variant", "embedding")
OF_A_TOKEN = ("split", "tokenizer", "labels", "compressors", "measure_host", "context", "mode", "batch",
              "baselines", "max_quality_loss")  # fmt: skip
MODES = click.Choice(["decode", "mean", "prefill"])


@click.command("energy-report", short_help="What models cost a token, against Transformers and twins.")
@click.argument("models", type=Model(), nargs=-1)
@click.option("--name", "labels", multiple=True, help="Name of a row, one for each model in their order.")
@click.option("--preset", "size", type=click.Choice(list(PRESETS)), help="No checkpoint: this shape at assumed rates.")
@click.option("--rate", type=Real(0, 1), help="Assumed density of all matrix inputs, with --preset.")
@click.option("--rates", type=click.Path(path_type=Path), help="YAML: part of a block to its density, with --preset.")
@data_option
@tokenizer_option
@checkpoint_options
@split_option
@tokens_option(TOKENS)
@click.option("--context", type=click.IntRange(1), help="Context of the Transformer; default: that of training.")
@click.option("--mode", type=MODES, default="decode", show_default=True, help="The token priced.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Streams that share weight reads.")
@click.option("--profile", "names", multiple=True, help="Prices: a name of `spikegpt profiles` or a YAML file.")
@click.option("--precision", "precisions", multiple=True, type=click.Choice(["fp32", "fp16", "int8"]))
@click.option(
    "--placement", type=In("mapping.json"), help="mapping.json (or its folder) of this model, instead of our mapping."
)
@click.option("--tokens-per-s", type=Real(0.001), default=1000.0, show_default=True,
              help="Assumed rate of a chip, for its static power.")  # fmt: skip
@click.option("--compressors", is_flag=True, help="Also xz, zstd, bzip2 and gzip on the text that is read.")
@click.option("--measure-host", is_flag=True, help="Also time, and where there are counters joules, of this machine.")
@click.option("--baselines", type=click.Choice(["gpt", "all"]), default="gpt", show_default=True)
@click.option("--baseline", type=In("report.json"), help="Earlier report.json or its folder; exit code 1 if worse.")
@click.option("--max-increase", default="5%", show_default=True, help="Of operations or energy over --baseline.")
@click.option("--max-quality-loss", default="1%", show_default=True, help="Of bits per byte over --baseline.")
@click.option("--junit", type=NewFile(".xml"), help="JUnit XML of what --baseline compared.")
@click.option("--out", type=NewFolder(), help="Folder for report.json, .md and .html; others' files in it stay.")
@click.option("--spike-input", is_flag=True, help="Of a .nir network of another tool: its inputs are events.")
@step_options
@force_option
@json_option
@goes_with(labels="models", rate="size", rates="size", max_increase="baseline", max_quality_loss="baseline",
           junit="baseline", force="out junit")  # fmt: skip
def energy_report(models: tuple[str, ...], labels: tuple[str, ...], size: str | None, rate: float | None,
                  rates: Path | None, data: str | None, tokenizer: str | None, split: str | None, tokens: int,
                  context: int | None, mode: str, batch: int, names: tuple[str, ...], precisions: tuple[str, ...],
                  placement: Path | None, tokens_per_s: float, compressors: bool, measure_host: bool, baselines: str,
                  baseline: Path | None, max_increase: str, max_quality_loss: str, junit: Path | None,
                  out: Path | None, spike_input: bool, step: Step, force: bool, as_json: bool,
                  taken: Taken) -> None:  # fmt: skip
    """What models cost per token against Transformers and non-spiking models, measured on a text or from assumed rates.

    A .nir network of another tool, on the inputs that --data names, is priced a step beside its twin that multiplies.

    \b
    Example:
      spikegpt energy-report shipped:kjv --tokens 4096 --out out/report
      spikegpt energy-report --preset 260m --rate 0.15
    """
    from hw_sim.energy import profiles as prices
    from hw_sim.energy.gate import Limits, read_baseline, share
    from hw_sim.energy.settings import Settings

    network = network_in(models[0], step, taken) if len(models) == 1 and not size else None
    if step != UNSAID and network is None:
        raise UserError("--dt and --convention are of one network of another tool")
    if models and taken != UNTOLD and all(map(is_lowered, models)):
        raise UserError("--variant and --embedding are of a checkpoint; a .nir file says itself what it is")
    if bool(models) == bool(size):
        raise UserError("name checkpoints or a --preset, one of the two")
    if size:
        refuse("a --preset reads no text and no file", *OF_A_TEXT, *CHECKPOINT, "spike_input")
    elif network is not None:
        refuse("of language models; a network of another tool is priced a step, beside its twin", *OF_A_TOKEN)
    else:
        refuse("of a network of another tool", "spike_input")
    if out is not None:
        folders.check(out, *((NETWORK_KIND,) if network else (KIND,)), force=force, shared=forms())
    if junit:
        files.check(junit, force=force)
    limits = Limits(share(max_increase, "--max-increase"), share(max_quality_loss, "--max-quality-loss"))
    earlier = read_baseline(baseline) if baseline and network is None else None
    settings = Settings(
        context=context,
        batch=batch,
        mode=mode,
        priced=prices.load_all(names) if names else prices.shipped(),
        precisions=precisions,
        tokens_per_s=tokens_per_s,
        baselines=baselines == "all",
    )
    if not settings.columns and precisions:
        raise UserError("no price column is left: the profiles named have no such --precision, or price no counts")
    provenance = {
        "command": shlex.join(["spikegpt", *map(unicode, sys.argv[1:])]),
        "spikegpt": __version__,
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }
    if network is not None:
        found_network = report_network(network, models[0], data, tokens, spike_input, settings, placement, provenance,
                                       as_json)  # fmt: skip
        publish_network(found_network, out, force, as_json)
        if baseline:
            conclude(compare_networks(baseline, found_network, limits), junit)
        return
    if size:
        from dataclasses import replace

        from exporters.energy_preset import preset_report

        settings = replace(settings, trained_context=PRESETS[size].ctx_len)
        report = preset_report(*assumed(size, rate, rates), settings, placement, provenance,
                               elsewhere=bool(out) or as_json)  # fmt: skip
    else:
        from exporters.energy_report import report_of

        with progress_bar("measuring", (len(models) + 1) * tokens, as_json) as advance:
            found = [open_model(path, taken, tokenizer) for path in models]
            report = report_of(found, text_of(data, split, tokens), settings, names=labels, placement=placement,
                               compressors=compressors, host=measure_host, provenance=provenance,
                               progress=advance)  # fmt: skip
    publish(report, out, force, as_json)
    if earlier:
        gate(earlier, report, limits, junit)


def forms() -> tuple[str, ...]:
    """The files of a report."""
    from hw_sim.energy.markdown import FILES

    return ("report.json", "report.html", *FILES)


def text_of(data: str | None, split: str | None, tokens: int) -> "Text":
    """The same part of a text for every model, as its tokenizer cuts it."""

    def text(model: "Opened") -> "tuple[Corpus, np.ndarray]":
        lowered = is_lowered(model.path)
        origin = Learned.by_graph(model.path, model.graph) if lowered else Learned.by_model(model.path, model.model)
        return load_text(data, split, tokens, model.tokenizer, origin)

    return text


def open_model(path: str, taken: Taken, tokenizer: str | None) -> "Opened":
    """A checkpoint or lowered network, read once. Raises UserError where nobody says what its tokens are."""
    from exporters.energy_report import Opened

    if is_lowered(path):
        graph = load_graph(path, tokenizer=tokenizer)  # what is said is of the checkpoints beside it
        return Opened(path, graph, tokenizer_of(path, graph, tokenizer), source_of(path))
    model = load_model(path, taken, tokenizer)
    return Opened(path, model, known_tokenizer(model.tokenizer, path), source_of(path))


def assumed(size: str, rate: float | None, rates: Path | None) -> "tuple[Shape, float | dict[str, float]]":
    """The shape of a preset and its assumed densities. Raises UserError unless exactly one kind is given."""
    from hw_sim.energy.schema import Shape
    from hw_sim.energy.shapes import PARTS

    if (rate is None) == (rates is None):
        raise UserError("a --preset needs assumed densities: --rate 0.15 or --rates FILE, one of the two")
    config = preset(size)
    shape = Shape(config.n_layer, config.n_embd, config.vocab_size)
    if rates is None:
        assert rate is not None
        return shape, rate
    values = read_document(rates, dict[str, float], "YAML of a density for each part of a block")
    if set(values) - {"head"} != set(PARTS):
        raise UserError(f"{rates}: needs the keys {', '.join(PARTS)}, and may have head, each a density")
    for part, value in values.items():
        if not 0 <= value <= 1:
            raise UserError(f"{rates}: {part} = {value!r} must be a density from 0 to 1")
    return shape, values


def publish(report: "Report", out: Path | None, force: bool, as_json: bool) -> None:
    """Write the report in all its forms, and print one."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
    if out:
        from hw_sim.energy.markdown import document
        from hw_sim.energy.page import page

        made = {"report.json": text + "\n", **document(report), "report.html": page({report.subject.name: report})}
        with folders.new_folder(out, KIND, force=force, shared=forms()) as new:
            for name, content in made.items():
                (new.path / name).parent.mkdir(exist_ok=True)
                files.write_text(new.path / name, content)
    if as_json:
        click.echo(text)
        return
    from cli.tables import print_report

    print_report(report)
    if out:
        click.echo("\n".join(str(out / name) for name in ("report.html", "report.md", "report.json")))


def gate(earlier: "Compared", report: "Report", limits: "Limits", junit: Path | None) -> None:
    """Compare with the baseline, say so wherever a CI looks, and exit with REGRESSED where the report is worse."""
    from hw_sim.energy.gate import compare, compared

    conclude(compare(earlier, compared(report), limits), junit)


def conclude(verdict: "Verdict", junit: Path | None) -> None:
    """Say what was compared wherever a CI looks, and exit with REGRESSED where something is worse."""
    from cli.tables import print_gate
    from hw_sim.energy import gate_forms

    print_gate(verdict)
    if junit:
        files.write_text(junit, gate_forms.junit(verdict), signed=True)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        click.echo("\n".join(gate_forms.annotations(verdict)), err=True)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(gate_forms.summary(verdict))
    if verdict.regressed:
        sys.exit(REGRESSED)
