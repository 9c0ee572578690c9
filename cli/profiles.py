"""`spikegpt profiles`: the price tables with grade and source."""

from typing import TYPE_CHECKING

import click
import msgspec

from cli.layout import folded
from cli.options import json_option

if TYPE_CHECKING:
    from hw_sim.energy.profiles import Profile


@click.command(short_help="List the price tables with grade and source.")
@click.argument("files", type=str, nargs=-1)
@json_option
def profiles(files: tuple[str, ...], as_json: bool) -> None:
    """List the price tables with grade and source; FILES are checked against the schema and listed too.

    \b
    Example:
      spikegpt profiles
    """
    from hw_sim.energy import profiles as prices

    known = {**prices.shipped(), **prices.load_all(files)}
    if as_json:
        click.echo(msgspec.json.encode(known))
        return
    for name, p in known.items():
        click.echo(f"{name}  ({p.grade}; {', '.join(p.precisions)})")
        click.echo(folded(f"  {p.title}\n  source: {p.source}\n  scope: {p.scope}"))
        left = ", ".join(unpriced(p)) or "nothing" if p.columns else "everything: it is a formula, for no counts"
        click.echo(folded(f"  leaves unpriced, of a spike-driven SpikeGPT: {left}"))


def unpriced(profile: "Profile") -> list[str]:
    """What a profile has no price for, found out by pricing the shipped model's shape."""
    from hw_sim.energy.price import price
    from hw_sim.energy.schema import Shape
    from hw_sim.energy.shapes import spikegpt
    from spikegpt.config import SPIKE_DRIVEN

    work = spikegpt("", SPIKE_DRIVEN, Shape(4, 256, 256), 0.05)
    found = [price(work, profile, column.precision) for column in profile.columns]
    return sorted({name for energy in found if energy for name in energy.unpriced})
