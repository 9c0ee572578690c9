"""`spikegpt raster`: the spikes and costs of a model under the text that it reads."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

import click
import numpy as np

from cli.inputs import load_graph, source_of, tokenizer_of
from cli.options import Taken, checkpoint_options, force_option, json_option, model_argument, tokenizer_option
from cli.parameters import NewFile, Text
from cli.progress import progress_bar
from spikegpt import files
from spikegpt.errors import UserError, nearest

LONGEST = 2000  # tokens that a picture can hold
PROFILE = "45nm-memory"


@click.command(short_help="Draw spikes, operations and energy under a text.")
@model_argument
@tokenizer_option
@checkpoint_options
@click.option("--prompt", type=Text(), default="In the beginning God created the heaven and the earth.",
              show_default=True, help="The text that is read.")  # fmt: skip
@click.option("--population", "wanted", multiple=True, metavar="NAME",
              help="To draw: a name or pattern, as in 'block3_*'; default: those of the first block.")  # fmt: skip
@click.option("--profile", default=PROFILE, show_default=True, help="Prices: of `spikegpt profiles`, or a YAML file.")
@click.option("--out", type=NewFile(".html", ".svg", ".png"), required=True, help="File: .html, .svg or .png.")
@force_option
@json_option
def raster(model: str, tokenizer: str | None, prompt: str, wanted: tuple[str, ...], profile: str, out: Path,
           force: bool, as_json: bool, taken: Taken) -> None:  # fmt: skip
    """Run a text through a network and draw it: the synaptic operations and energy of every token as heat, and below
    each the neurons that fired.

    \b
    Example:
      spikegpt raster shipped:kjv --prompt "Let there be light" --out out/r.html
    """
    from hw_sim import Simulator
    from hw_sim.energy.by_token import by_token
    from hw_sim.energy.page import text_raster
    from hw_sim.energy.profiles import load

    files.check(out, force=force)
    prices = load(profile)
    graph = load_graph(model, taken, tokenizer)
    units = tokenizer_of(model, graph, tokenizer)
    tokens = units.encode(prompt.encode())
    if not 1 <= len(tokens) <= LONGEST:
        raise UserError(f"--prompt: {len(tokens):,} tokens; a picture holds 1 to {LONGEST:,}")
    simulator = Simulator.from_nir(graph)
    chosen = choose([p.name for p in simulator.plan.populations], wanted)
    with progress_bar("running", len(tokens), as_json) as advance:
        costs = by_token(simulator, np.asarray(tokens), units, prices, advance)
    text_raster.write(costs, chosen, source_of(model).stem, out)
    if as_json:
        spikes = {name: np.argwhere(costs.spikes[name]).tolist() for name in chosen}
        facts = {"tokens": costs.texts, "synops": costs.synops.tolist(), "energy_j": costs.energy_j.tolist()}
        click.echo(json.dumps({**facts, "column": costs.column, "unpriced": costs.unpriced, "spikes": spikes}))
    else:
        click.echo(str(out))


def choose(known: list[str], wanted: tuple[str, ...]) -> list[str]:
    """The populations that are wanted, in their own order. Raises UserError for a pattern that fits none."""
    if not wanted:
        return [name for name in known if name.startswith("block0_")] or known[:8]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UserError(f"--population {pattern!r}: no population of this name; {nearest(pattern, known)}")
    return [name for name in known if any(fnmatchcase(name, pattern) for pattern in wanted)]
