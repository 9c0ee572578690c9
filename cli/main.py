"""Entry point of the `spikegpt` command: subcommands, and one place where a user's mistake becomes one clear line."""

import sys
from typing import Any

import click

from cli.energy import energy_report, profiles
from cli.export import export
from cli.info import info
from cli.notices import notices
from cli.replay import replay
from cli.simulate import simulate
from cli.tokenize import tokenize
from cli.train import evaluate, generate, train
from cli.verify import verify
from spikegpt import UserError, __version__
from spikegpt.escape import printable

BAD_INPUT, INTERRUPTED = 2, 130


class Interruptible(click.Group):
    """A group that ends with 130 on Ctrl-C, as shells expect; click alone says 1, as for a failed comparison."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("spikegpt: interrupted", err=True)
            sys.exit(INTERRUPTED)


@click.group(cls=Interruptible, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="spikegpt")
def cli() -> None:
    """Train a spiking language model, lower it to neuromorphic hardware and measure what it saves.

    Example: spikegpt energy-report models/kjv-spike-driven.pt --out out/report
    """


for command in (tokenize, train, evaluate, generate, info, export, simulate, verify, replay, energy_report, profiles):
    cli.add_command(command)


def main() -> None:
    """Run the command line; a user's mistake ends it with one line on standard error and exit code 2."""
    try:
        with notices():
            cli()
    except (UserError, OSError) as error:  # OSError: a path that cannot be read or written
        click.echo(f"spikegpt: {printable(error)}", err=True)
        sys.exit(BAD_INPUT)
