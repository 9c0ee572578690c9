"""`spikegpt export`: a checkpoint lowered to the files of a deployment target."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.inputs import (
    Learned,
    is_lowered,
    known_tokenizer,
    load_graph,
    load_model,
    load_text,
    lowered_file,
    network_in,
    source_of,
    taken_for_events,
    tokenizer_if_known,
)
from cli.layout import folded, table
from cli.options import (
    Step,
    Taken,
    checkpoint_options,
    data_option,
    force_option,
    json_option,
    split_option,
    step_options,
    tokenizer_option,
    tokens_option,
)
from cli.parameters import Model, NewFolder, Real
from cli.progress import progress_bar
from spikegpt import folders
from spikegpt.errors import UserError
from spikegpt.escape import printable

if TYPE_CHECKING:
    import nir

    from exporters.loihi.settings import TextPart

PASSES = "passes"  # the kind of folder that --dump-passes leaves


@click.command(short_help="Lower a model for NIR tools, ONNX or Loihi.")
@click.argument("model", type=Model(), required=False)
@click.option("--target", required=True, help="nir, onnx, torch, loihi or sanafe; `--target list` explains.")
@click.option("--out", type=NewFolder(), help="Folder to write; an earlier export there is replaced.")
@force_option
@click.option("--dump-passes", type=NewFolder(), help="Folder for the graph after each lowering pass.")
@click.option("--chip", type=str, help="loihi: loihi1, loihi2 (default) or a YAML file; sanafe: loihi1.")
@click.option(
    "--chips", type=click.IntRange(1), help="loihi, sanafe: how many there are; default: as many as it takes."
)
@click.option("--bits", type=click.IntRange(2, 8), help="loihi, sanafe: bits of a weight of the body; default 8.")
@click.option("--prune", type=Real(0, 1, max_open=True), help="loihi, sanafe: share of weights set to zero.")
@data_option
@tokenizer_option
@checkpoint_options
@split_option
@json_option
@tokens_option(None, "20,000, of sanafe 64; for loihi and sanafe, like --data, --split")
@step_options
def export(
    model: str | None,
    target: str,
    out: Path | None,
    force: bool,
    dump_passes: Path | None,
    taken: Taken,
    tokenizer: str | None,
    as_json: bool,
    step: Step,
    **own: Any,
) -> None:
    """Lower a checkpoint (or a float .nir file) to a deployment target.

    A .nir network of another tool is lowered for Loihi with the inputs of --data built in.

    \b
    Example:
      spikegpt export shipped:kjv --target nir --out out/nir
      spikegpt export shipped:kjv --target loihi --tokens 2000 --out out/loihi
    """
    from exporters.manifest import KIND
    from exporters.targets import TARGETS, export_to

    if target == "list":
        known = {target.name: target.supports for target in TARGETS.values()}
        click.echo(json.dumps(known) if as_json else table(("", ""), list(known.items()), ("",)))
        return
    if model is None:
        raise UserError("the model is missing: name a checkpoint or a float .nir file")
    if out is None:
        raise UserError("--out is missing: name the folder to write")
    if target not in TARGETS:
        raise UserError(f"target {target!r} is not one of {', '.join(TARGETS)}")
    given = {name: value for name, value in own.items() if value is not None}
    on_chip = TARGETS[target].chip is not None
    if given and not on_chip:
        mapped = " and ".join(t.name for t in TARGETS.values() if t.chip)
        raise UserError(f"--{next(iter(given))} is for --target {mapped}, not {target}")
    reads = [Path(name) for name in (model, own["data"]) if name and Path(name).exists()]
    folders.check(out, KIND, force=force, reads=reads)
    if (network := network_in(model, step, taken)) is not None:
        if not on_chip or dump_passes is not None or tokenizer is not None:
            raise UserError(
                f"{model}: not a token network: of the targets loihi and sanafe alone take it, without --dump-passes; "
                f"`spikegpt replay` runs it on recorded inputs"
            )
        manifest = _export_network(target, model, network, out, force, given, quiet=as_json)
        _told(manifest, out, as_json)
        return
    if dump_passes is not None:
        folders.check(dump_passes, PASSES, force=force, reads=reads)
    held = None
    if target == "torch":
        from exporters.nir import export as lowered

        if is_lowered(model):
            raise UserError(f"{model}: --target torch takes a checkpoint; a .nir file holds no torch model")
        held = load_model(model, taken, tokenizer)
    if dump_passes is not None:
        graph = _dump(model, dump_passes, force, taken, tokenizer)
    else:
        graph = lowered(held) if held is not None else load_graph(model, taken, tokenizer)
    if held is not None:
        manifest = export_to(target, graph, out, source_of(model), force=force, model=held)
    elif on_chip:
        manifest = _export_mapped(target, model, graph, out, force, given, quiet=as_json)
    else:
        manifest = export_to(target, graph, out, source_of(model), force=force)
    _told(manifest, out, as_json)


def _told(manifest: dict, out: Path, as_json: bool) -> None:
    """What was written, and what was measured on the way."""
    if warning := manifest.get("mapping", {}).get("warning"):
        click.echo(folded(f"spikegpt: {warning}", sys.stderr), err=True)
    if as_json:
        click.echo(json.dumps({**manifest, "out": str(out)}))
        return
    for top, held in Counter(name.split("/")[0] for name in manifest["files"]).items():
        click.echo(f"{out / top}" + (f"/ ({held} files)" if top not in manifest["files"] else ""))
    if "segments" in manifest:
        held, whole = manifest["synapses_in_segments"], manifest["synapses"]
        share = f" hold {held / whole:.1%} of {whole:,} synapses" if whole else ""
        click.echo(f"{len(manifest['segments'])} portable segments{share}")
    if "mapping" in manifest:
        click.echo(folded(manifest["mapping"]["summary"]))
    if (found := manifest.get("measured")) and "increase" in found:
        before, after = found["float_bits_per_byte"], found["exported_bits_per_byte"]
        told = f"{before:.4f} bits per byte in float32, {after:.4f} as exported ({found['increase']:+.2%})"
        click.echo(folded(f"{told}, on the first {found['tokens']:,} tokens of {found['text']}"))


def _export_network(target: str, model: str, network: "nir.NIRGraph", out: Path, force: bool, given: dict[str, Any],
                    quiet: bool) -> dict:  # fmt: skip
    """Export a network of another tool for a chip, with the inputs of --data built in: their steps are its tokens."""
    from exporters.loihi.settings import Settings
    from exporters.targets import export_to
    from hw_sim.graph.foreign import drive, inputs_of, with_input_neurons
    from hw_sim.graph.recordings import read_recording

    if given.get("data") is None:
        raise UserError(f"{model}: no token network; --data names the inputs to build in and to measure on")
    if "split" in given:
        raise UserError("--split is of a text; --tokens names the first steps of inputs")
    recorded = read_recording(given["data"], *inputs_of(network), given.get("tokens"))
    events = taken_for_events(network, recorded, given["data"])
    driven = with_input_neurons(drive(network, recorded.inputs, events))
    settings = Settings(**_chosen(target, given), recording=Path(given["data"]).name)
    with progress_bar("measuring", None, quiet):
        return export_to(target, driven, out, lowered_file(model), force=force, settings=settings)


def _chosen(target: str, given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a target's settings that the user gave, and its chip."""
    from exporters.targets import TARGETS

    return {"chip": TARGETS[target].chip} | {n: given[n] for n in ("chip", "chips", "bits", "prune") if n in given}


def _export_mapped(
    target: str, model: str, graph: "nir.NIRGraph", out: Path, force: bool, given: dict[str, Any], quiet: bool
) -> dict:
    """Export for a chip with the options that were given, measured on a text where one can be cut into tokens."""
    from exporters.loihi.settings import Settings
    from exporters.targets import check_float, export_to

    check_float(graph)
    text, source = _text(target, model, graph, given), source_of(model)
    with progress_bar("measuring", 2 * len(text.tokens) if text else None, quiet=quiet or text is None) as advance:
        settings = Settings(**_chosen(target, given), text=text, progress=advance)
        return export_to(target, graph, out, source, force=force, settings=settings)


def _text(target: str, model: str, graph: "nir.NIRGraph", given: dict[str, Any]) -> "TextPart | None":
    """What to measure on; None, with a note on standard error, where the user named no text and ours does not do."""
    from exporters.loihi.settings import TextPart
    from exporters.targets import TARGETS

    data, split, tokens = given.get("data"), given.get("split"), given.get("tokens", TARGETS[target].tokens)
    try:
        cut = known_tokenizer(tokenizer_if_known(model, graph, None), model)
        corpus, part = load_text(data, split, tokens, cut, Learned.by_graph(model, graph))
    except UserError as error:
        if given.keys() & {"data", "split", "tokens"}:
            raise
        click.echo(folded(f"quality is not measured: {printable(error)}", sys.stderr), err=True)
        return None
    return TextPart(corpus.name, part, cut)


def _dump(model: str, folder: Path, force: bool, taken: Taken, tokenizer: str | None) -> "nir.NIRGraph":
    """Lower a checkpoint and write the graph after each pass, e.g. 1-fold_embedding_norm.nir; `info` reads them."""
    from exporters import nir as exporter

    if is_lowered(model):
        raise UserError(f"{model} is lowered already; --dump-passes needs a checkpoint")
    with folders.new_folder(folder, PASSES, force=force) as new:
        steps: list[str] = []

        def watch(name: str, graph) -> None:
            exporter.write(graph, new.path / f"{len(steps)}-{name}.nir")
            steps.append(name)

        return exporter.export(load_model(model, taken, tokenizer), watch)
