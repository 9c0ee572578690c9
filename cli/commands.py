"""The `spikegpt` command and its subcommands."""

from typing import Any

import click

from cli.compare import compare
from cli.energy import energy_report, profiles
from cli.export import export
from cli.info import info
from cli.models import models
from cli.replay import replay
from cli.simulate import simulate
from cli.tokenize import tokenize
from cli.train import evaluate, generate, train
from cli.verify import verify
from spikegpt import __version__


class Ended(Exception):
    """An end that click would give exit code 1, the code of a failed comparison; its cause says which end."""


class Commands(click.Group):
    """A group that leaves Ctrl-C and a closed pipe to `cli.main`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            raise Ended from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="spikegpt")
def cli() -> None:
    """Train a spiking language model, lower it to neuromorphic hardware and measure what it saves.

    Example: spikegpt energy-report models/kjv-spike-driven.pt --out out/report
    """


COMMANDS = (
    tokenize,
    train,
    evaluate,
    generate,
    info,
    export,
    simulate,
    verify,
    replay,
    energy_report,
    compare,
    profiles,
    models,
)
for command in COMMANDS:
    cli.add_command(command)
