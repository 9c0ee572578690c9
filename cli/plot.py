"""`spikegpt plot`: the curves of training runs over one another."""

import json
from pathlib import Path

import click

from cli.options import force_option, json_option
from cli.parameters import NewFile
from spikegpt import files
from spikegpt.errors import UserError


@click.command(short_help="Draw the curves of training runs over one another.")
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--out", type=NewFile(".svg", ".png"), required=True, help="Picture to write, .svg or .png.")
@force_option
@json_option
def plot(runs: tuple[Path, ...], out: Path, force: bool, as_json: bool) -> None:
    """Loss, density, synaptic operations and the rate of every population over the tokens that runs learned from.

    RUNS are folders of `spikegpt train`, finished or not.

    \b
    Example:
      spikegpt plot runs/a --out out/curves.svg
    """
    from spikegpt.run_plots import draw, panels, read_curves

    files.check(out, force=force)
    curves = [read_curves(run) for run in runs]
    names = [curve.name for curve in curves]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two runs are called {repeated}: rename a folder, or name each once")
    draw(curves, out)
    click.echo(json.dumps(panels(curves)) if as_json else str(out))
