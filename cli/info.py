"""`spikegpt info`: what a checkpoint, a preset or a `.nir` file holds."""

import json
from pathlib import Path

import click

from cli.inputs import is_lowered, load_record, lowered_file
from cli.layout import folded, table
from cli.options import UNTOLD, Taken, checkpoint_options, force_option, goes_with, json_option, refuse
from cli.parameters import Model, NewFile
from spikegpt import files
from spikegpt.config import PRESETS, TRANSFORMER, VARIANTS, Config, preset
from spikegpt.errors import UserError
from spikegpt.escape import printable
from spikegpt.outlines import outline

WHOLE = "all"  # named as a block


@click.command(short_help="Show what a checkpoint, preset or network holds; draw it.")
@click.argument("file", type=Model(Path), required=False)
@click.option("--preset", "size", type=click.Choice(list(PRESETS)), help="A size of the paper instead of a file.")
@click.option("--block", help=f"Of a .nir file: list the nodes of this block, e.g. block0; {WHOLE}: of the network.")
@click.option(
    "--svg", type=NewFile(".svg"), help=f"Of a .nir file: draw --block (default block0; {WHOLE}: the network) here."
)
@force_option
@checkpoint_options
@json_option
@goes_with(force="svg")
def info(file: Path | None, size: str | None, block: str | None, svg: Path | None, force: bool, as_json: bool,
         taken: Taken) -> None:  # fmt: skip
    """Shape, size and origin of a checkpoint; the blocks of a .nir file; the parameter counts of a preset.

    \b
    Example:
      spikegpt info shipped:kjv
      spikegpt info out/nir/model.nir --svg out/block0.svg
      spikegpt info out/nir --block all --svg out/network.svg
    """
    if (file is None) == (size is None):
        raise UserError("name a file or a --preset, one of the two")
    if svg is not None:
        files.check(svg, force=force)
    if size is not None:
        refuse("of a checkpoint, and a --preset is none", "variant", "embedding")
    if file is not None and is_lowered(str(file)):
        refuse("of a checkpoint; a .nir file says itself what it is", "variant", "embedding")
        _network(lowered_file(str(file)), block, svg, as_json)
        return
    if block or svg:
        raise UserError("--block and --svg need a .nir file; `spikegpt export --target nir` writes one")
    facts: dict[str, object]
    if file is not None:
        config, provenance = _outlined(file, taken)
        facts = {"file": str(file), "parameters": config.n_parameters, **config.to_dict()}
        facts |= {key: value for key, value in provenance.items() if key not in facts}
    else:
        assert size is not None
        counts = {f"parameters, {variant}": preset(size, variant).n_parameters for variant in (*VARIANTS, TRANSFORMER)}
        facts = {"preset": size, "known from": PRESETS[size].note, **preset(size).to_dict(), **counts}
    if as_json:
        click.echo(json.dumps(facts))
        return
    for key, value in facts.items():
        number = isinstance(value, int) and not isinstance(value, bool)
        click.echo(folded(f"{printable(key):26} {value:,}" if number else f"{printable(key):26} {printable(value)}"))


def _outlined(file: Path, taken: Taken) -> tuple[Config, dict]:
    """The configuration and origin of a checkpoint; torch is imported for those alone that are not plainly ours."""
    known = outline(file) if taken == UNTOLD else None
    if known is not None:
        return known["config"], known["provenance"]
    record = load_record(file, taken)
    return load_shape(record, file), record["provenance"]


def load_shape(record: dict, file: Path) -> Config:
    """The configuration of a record whose weights fit it. Raises UserError, as loading the model would."""
    from spikegpt.checkpoint import from_record

    return from_record(record, file).config


def _network(file: Path, block: str | None, svg: Path | None, as_json: bool) -> None:
    from exporters.nir.drawing import draw
    from exporters.nir.summary import REST, describe, totals
    from hw_sim.graph.foreign import read_foreign
    from hw_sim.graph.origin import facts_in

    graph = read_foreign(file)
    blocks = describe(graph)
    every = [node for nodes in blocks.values() for node in nodes]
    listed = {**blocks, WHOLE: every}
    if block is not None and block not in listed:
        raise UserError(f"{file} has no block {block!r}; it has {', '.join(blocks)} and {WHOLE}")
    if svg is not None:
        drawn = block or ("block0" if "block0" in blocks else REST)
        picture = draw(graph, drawn, listed[drawn])
        files.write_text(svg, picture, signed=True)
        click.echo(str(svg), err=as_json)
    whole = totals(every)
    if as_json:
        told = {name: {**totals(nodes), "list": nodes} for name, nodes in blocks.items()}
        click.echo(json.dumps({"file": str(file), **whole, "metadata": facts_in(graph), "blocks": told}))
        return
    if block is not None:
        rows = [
            (printable(n["name"]), n["type"], f"{n['width_in']}", f"{n['width_out']}", f"{n['values']:,}",
             "spikes" if n["spiking"] else "real", "yes" if n["portable"] else "no")
            for n in listed[block]
        ]  # fmt: skip
        click.echo(table(("node", "type", "in", "out", "values", "gives", "portable"), rows, ("type", "gives")))
        return
    sums = {**{printable(name): totals(nodes) for name, nodes in blocks.items()}, "all": whole}
    figures = [(name, *(f"{value:,}" for value in found.values())) for name, found in sums.items()]
    click.echo(table(("block", "nodes", "values", "synapses", "spike-fed", "portable", "neurons"), figures))
