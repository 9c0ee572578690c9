"""Options that several commands take: each is defined here once, so that it means the same everywhere."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from cli.parameters import SEED, Model, NewFolder, Real
from spikegpt.config import RAW_VOCAB, TRANSFORMER, VARIANTS
from spikegpt.errors import UserError

model_argument = click.argument("model", type=Model())
data_option = click.option(
    "--data",
    type=str,
    metavar="TEXT",
    help="A text (also packed, or .jsonl), a folder of `spikegpt tokenize`, a .bin with its .idx, a .npy of token ids, "
    "or kjv; default: kjv, the embedded King James Bible.",
)
inputs_option = click.option(
    "--data",
    type=str,
    metavar="INPUTS",
    help="Of a language model a text, as elsewhere; of any other network a .npy or .npz of inputs; default: none.",
)
tokenizer_option = click.option(
    "--tokenizer",
    type=str,
    metavar="FILE",
    help='For a model that does not carry its own: "bytes", or a JSON file of the `tokenizers` library or of the '
    "released code.",
)
new_tokenizer_option = click.option(
    "--tokenizer",
    type=str,
    metavar="FILE",
    help='"bytes", "characters" (those of the text), or a JSON file of the `tokenizers` library or the released code.',
)
split_option = click.option(
    "--split",
    type=click.Choice(["train", "valid", "test", "all"]),
    help="Part of the text; default: test of the embedded text and of the one that the model learned from, all of any "
    "other.",
)
seed_option = click.option("--seed", type=SEED, default=0, show_default=True, help="Of everything that is random.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine instead.")
force_option = click.option(
    "--force", is_flag=True, help="Replace an output of this tool that was changed since; never what it did not write."
)
lava_python_option = click.option(
    "--lava-python",
    type=str,
    metavar="PATH",
    help="Python interpreter that has lava-nc and numpy, such as the 3.10 of a Loihi host; default: this one.",
)


def tokens_option(default: int | None, said: str | None = None) -> Callable:
    """--tokens: how many of the part's first tokens are read; `said` is the default in words."""
    return click.option(
        "--tokens",
        type=click.IntRange(2),
        default=default,
        help=f"First tokens of the part of the text  [default: {said or f'{default:,}'}]",
    )


def out_option(help: str, required: bool = False) -> Callable:
    """--out: the folder to write."""
    return click.option("--out", type=NewFolder(), required=required, help=help)


def given(*names: str) -> list[str]:
    """Which of these parameters of the running command the user gave, as options are written: `--tokens`."""
    ctx = click.get_current_context()
    written = {param.name: param.opts[0] for param in ctx.command.params}
    return [written[name] for name in names if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]


def refuse(why: str, *names: str) -> None:
    """Raise UserError where the user gave one of these parameters, which would say nothing: `why`."""
    if said := given(*names):
        raise UserError(f"{said[0]}: {why}; leave it away")


def goes_with(**others: str) -> Callable:
    """Refuses parameters that say something of another one alone, where that one is missing: `tolerance="verify"`.

    Of several, separated by spaces, one is enough.
    """

    def checked(command: Callable) -> Callable:
        @wraps(command)
        def told(*arguments: Any, **options: Any) -> Any:
            ctx = click.get_current_context()
            written = {param.name: param.opts[0] for param in ctx.command.params}
            for name, needed in others.items():
                lacks = all(ctx.params[other] in (None, False, ()) for other in needed.split())
                if lacks and (said := given(name)):
                    these = " or ".join(written[other] for other in needed.split())
                    raise UserError(f"{said[0]} goes with {these}: name that too, or leave {said[0]} away")
            return command(*arguments, **options)

        return told

    return checked


@dataclass(frozen=True)
class Taken:
    """What the user says of a checkpoint that has no configuration of its own; None: what is likeliest."""

    variant: str | None = None
    embedding: str | None = None

    @property
    def binary(self) -> bool | str:
        return "auto" if self.embedding is None else self.embedding == "binary"


UNTOLD = Taken()


def checkpoint_options(command: Callable) -> Callable:
    """--variant and --embedding, handed on as one argument `taken`, for every command that loads checkpoints."""

    @click.option(
        "--variant",
        type=click.Choice([*VARIANTS, TRANSFORMER]),
        help="Of a checkpoint without a configuration (a state dict, as released or RWKV-4's) [default: canonical].",
    )
    @click.option(
        "--embedding",
        type=click.Choice(["binary", "raw"]),
        help=f"Of such a checkpoint [default: binary, as in training; raw for the released {RAW_VOCAB:,} tokens].",
    )
    @wraps(command)
    def told(*arguments: Any, variant: str | None, embedding: str | None, **options: Any) -> Any:
        return command(*arguments, taken=Taken(variant, embedding), **options)

    return told


@dataclass(frozen=True)
class Step:
    """What the user said of the time step of another tool's network: None, the file is asked."""

    dt: float | None = None
    convention: str | None = None


UNSAID = Step()


def step_options(command: Callable) -> Callable:
    """--dt and --convention, handed on as `step`."""

    @click.option(
        "--dt",
        type=Real(0, min_open=True),
        help="Seconds of NIR time in a step, for a .nir file of another tool  [default: as its writer meant]",
    )
    @click.option(
        "--convention",
        type=click.Choice(["euler", "exact"]),
        help="Of a step of such a file: dt / tau, or 1 - exp(-dt / tau)  [default: as its writer meant]",
    )
    @wraps(command)
    def told(*arguments: Any, dt: float | None, convention: str | None, **options: Any) -> Any:
        return command(*arguments, step=Step(dt, convention), **options)

    return told
