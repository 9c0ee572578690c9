"""The settings of `spikegpt train`: an option for each field of TrainConfig, and a YAML file that gives any of them."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, get_args

import click

from cli.parameters import SEED, Real
from spikegpt.documents import read_document
from spikegpt.errors import UserError, nearest
from spikegpt.train_config import TrainConfig

NOT_OPTIONS = ("bf16",)  # whose default depends on the device
NOT_SETTINGS = ("settings", "help", "resume", "force", "as_json")
HELP = {
    "steps": "Updates of the weights.",
    "batch": "Windows a step, over all processes.",
    "accumulate": "Parts a batch is computed in, to save memory.",
    "ctx": "Tokens a window.",
    "lr": "Peak learning rate.",
    "final_lr": "Learning rate at the end of the cosine.",
    "warmup": "Steps until the peak.",
    "clip": "Largest norm of a gradient.",
    "seed": "Of everything that is random.",
    "density": "Budget for the share of active synapses, e.g. 0.05 (spike-driven).",
    "sparsity": "Share of these synapses to prune to zero meanwhile, e.g. 0.5.",
    "density_weight": "Nats of penalty for a density of 1 above the budget.",
    "teacher_share": "Of the loss, with a --teacher; the rest is cross-entropy.",
    "teacher_temperature": "Softens both distributions, with a --teacher  [default: 1]",
    "dropout": "Share of what either half of a block adds that is left out; published: 0.03.",
    "eval_every": "Steps between scores on validation text.",
    "eval_tokens": "Tokens of each of them.",
}


def training_options(command: Callable) -> Callable:
    """An option for each field of TrainConfig, handed on as one dictionary `training`."""
    told = [field for field in fields(TrainConfig) if field.name not in NOT_OPTIONS]

    @wraps(command)
    def gathered(*arguments: Any, **options: Any) -> Any:
        training = {field.name: options.pop(field.name) for field in told}
        return command(*arguments, training=training, **options)

    for field in reversed(told):
        kinds = {kind for kind in (field.type, *get_args(field.type)) if kind is not type(None)}
        kind = SEED if field.name == "seed" else Real() if float in kinds else field.type
        if bool in kinds:
            names = (f"--{_dashed(field.name)}/--no-{_dashed(field.name)}",)
            gathered = click.option(*names, default=field.default, help=HELP.get(field.name))(gathered)
        else:
            gathered = click.option(
                f"--{_dashed(field.name)}",
                field.name,
                type=kind,
                default=field.default,
                show_default=field.default is not None,
                help=HELP.get(field.name),
            )(gathered)
    return gathered


def _take(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Let the settings in a file stand for the defaults of the options. Raises UserError for a name that is none."""
    if path is None:
        return
    found = read_document(path, dict[str, bool | int | float | str], "YAML of options by name (.yaml)")
    known = {p.opts[0].removeprefix("--"): p.name for p in ctx.command.params if p.name not in NOT_SETTINGS}
    for name in found:
        if _dashed(name) not in known:
            raise UserError(f"{path}: {name!r} is no setting of {ctx.command_path}; {nearest(_dashed(name), known)}")
    ctx.default_map = {known[_dashed(name)]: value for name, value in found.items()}


def _dashed(name: str) -> str:
    return name.replace("_", "-")


settings_option = click.option(
    "--settings",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_take,
    help="YAML of these options by name, e.g. `steps: 8000`; what is given here as well wins.",
)
