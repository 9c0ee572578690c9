"""The `spikegpt` command and its subcommands."""

from itertools import chain
from typing import Any

import click

from cli.check import check
from cli.compare import compare
from cli.count import count
from cli.energy import energy_report
from cli.eval import evaluate
from cli.export import export
from cli.generate import generate
from cli.info import info
from cli.models import models
from cli.plot import plot
from cli.profiles import profiles
from cli.raster import raster
from cli.replay import replay
from cli.simulate import simulate
from cli.tokenize import tokenize
from cli.train import train
from cli.verify import verify
from spikegpt import __version__


class Ended(Exception):
    """An end that click would give exit code 1, the code of a failed comparison; its cause says which end."""


class Commands(click.Group):
    """A group that lists its commands by subject, and leaves Ctrl-C and a closed pipe to `cli.main`."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for subject, commands in SUBJECTS.items():
            with formatter.section(subject):
                formatter.write_dl([(c.name or "", c.get_short_help_str()) for c in commands])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            raise Ended from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="spikegpt")
def cli() -> None:
    """Train a spiking language model, lower it to neuromorphic hardware and measure what it saves.

    Where a checkpoint is taken, shipped:kjv names a trained model that ships with this package.

    \b
    Example:
      spikegpt energy-report shipped:kjv --tokens 4096 --out out/report
    """


SUBJECTS = {
    "Texts and models": (tokenize, train, plot, evaluate, generate, models),
    "Networks": (info, check, export, verify, count, simulate, raster, replay),
    "Energy": (energy_report, compare, profiles),
}
for command in chain(*SUBJECTS.values()):
    cli.add_command(command)
