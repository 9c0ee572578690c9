"""`spikegpt models`: the trained models that ship with the package."""

import json
from dataclasses import asdict

import click

from cli.layout import folded
from cli.options import json_option
from spikegpt.shipped import PREFIX, shipped


@click.command(short_help="List the trained models that ship with this package.")
@json_option
def models(as_json: bool) -> None:
    """List the trained models that ship with the package, with size and quality.

    \b
    Example:
      spikegpt models
    """
    found = shipped()
    if as_json:
        click.echo(json.dumps([{**asdict(model), "path": str(model.path)} for model in found]))
        return
    for model in found:
        also = f" (also {PREFIX}{model.name})" if model.short else ""
        click.echo(f"{PREFIX}{model.short or model.name}{also}")
        quality = "not measured" if model.valid is None else f"{model.valid:.4f} bits per byte of validation text"
        density = "" if model.density is None else f", {model.density:.2%} of the spike-fed synapses active"
        click.echo(f"  {model.variant}, {model.parameters:,} parameters, {model.size / 1e6:.1f} MB")
        click.echo(folded(f"  {quality}{density}\n  learned from: {model.text}; {model.licence}"))
