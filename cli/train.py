"""`spikegpt train`: a model trained on a text."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.eval import in_units
from cli.inputs import named_tokenizer
from cli.layout import folded
from cli.options import data_option, goes_with, json_option, new_tokenizer_option, out_option
from cli.parameters import Device, Model
from cli.progress import TrainingProgress
from cli.settings import settings_option, training_options
from spikegpt.config import PRESETS, SPIKE_DRIVEN, TRANSFORMER, VARIANTS, Config, preset
from spikegpt.errors import UserError
from spikegpt.escape import printable

if TYPE_CHECKING:
    from spikegpt.corpus import Corpus


@click.command(short_help="Train a model on a text.")
@click.option("--variant", type=click.Choice([*VARIANTS, TRANSFORMER]), default=SPIKE_DRIVEN, show_default=True)
@data_option
@new_tokenizer_option
@out_option("Folder for checkpoints and logs.", required=True)
@settings_option
@click.option("--preset", "size", type=click.Choice(list(PRESETS)), default="tiny", show_default=True)
@click.option("--layers", type=int, help="Instead of the preset's.")
@click.option("--width", type=int, help="Instead of the preset's.")
@training_options
@click.option("--synops", type=click.IntRange(1), help="--density as accumulates a token, of weights other than zero.")
@click.option(
    "--teacher", type=Model(Path), help="A checkpoint whose predictions are matched; of equal shape, also the start."
)
@click.option(
    "--teacher-variant", type=click.Choice([*VARIANTS, TRANSFORMER]), help="Of a teacher without a configuration."
)
@click.option("--teacher-embedding", type=click.Choice(["binary", "raw"]), help="Of such a teacher.")
@click.option("--start", type=Model(Path), help="A checkpoint of the same shape whose weights are the start.")
@click.option("--device", type=Device(), default="auto", show_default=True, help="cpu, cuda, or a GPU if there is one.")
@click.option("--bf16/--no-bf16", default=None, help="Matrix products in bfloat16; default: on a GPU.")
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@click.option("--force", is_flag=True, help="Replace the run in --out; with --resume, begin one if there is none.")
@json_option
@goes_with(teacher_variant="teacher", teacher_embedding="teacher", teacher_share="teacher",
           teacher_temperature="teacher", density_weight="density synops")  # fmt: skip
def train(variant: str, data: str | None, tokenizer: str | None, out: Path, size: str, layers: int | None,
          width: int | None, training: dict[str, Any], synops: int | None, teacher: Path | None,
          teacher_variant: str | None, teacher_embedding: str | None, start: Path | None, device: str,
          bf16: bool | None, resume: bool, force: bool, as_json: bool) -> None:  # fmt: skip
    """Train a model on a text; leaves model.pt, log.csv and run.json. Several processes: start it with torchrun.

    With TensorBoard installed its scalars go to the folder too (`tensorboard --logdir OUT`); `spikegpt plot OUT` draws
    the curves. Ctrl-C keeps a checkpoint, and --resume goes on from it.

    \b
    Example:
      spikegpt train --width 64 --ctx 64 --steps 60 --density 0.05 --out runs/a
    """
    from spikegpt import run_folder
    from spikegpt.corpus import load_corpus
    from spikegpt.distributed import choose_device
    from spikegpt.train_config import TrainConfig
    from spikegpt.training import train as run

    first = os.environ.get("RANK", "0") == "0"
    if first:
        run_folder.check(out, resume=resume, force=force)
    corpus = load_corpus(data, named_tokenizer(tokenizer))
    shape = {k: v for k, v in {"n_layer": layers, "n_embd": width}.items() if v is not None}
    if corpus.tokenizer is not None:
        shape["vocab_size"] = corpus.tokenizer.vocab_size
    config = preset(size, variant, ctx_len=training["ctx"], **shape)
    training["density"] = budget(config, training, synops)
    training["bf16"] = choose_device(device).type == "cuda" if bf16 is None else bf16
    with TrainingProgress(training["steps"], plan(config, corpus, training), quiet=not first or as_json) as shown:
        _, score = run(
            config,
            corpus,
            TrainConfig(**training),
            out,
            teacher=teacher,
            teacher_variant=teacher_variant,
            teacher_binary=None if teacher_embedding is None else teacher_embedding == "binary",
            start=start,
            resume=resume,
            force=force,
            device=device,
            report=lambda row: shown.row(*note(row)),
            progress=shown.step,
            scoring=shown.scoring,
            command=["spikegpt", *sys.argv[1:]],
        )
    if first and as_json:
        click.echo(json.dumps({**asdict(score), "model": str(out / "model.pt")}))
    elif first:
        click.echo(folded(f"{in_units(asdict(score))} of validation text; {out / 'model.pt'}"))


def plan(config: Config, corpus: "Corpus", training: dict[str, Any]) -> str:
    """What a run is going to do, in one line."""
    tokens, own = training["steps"] * training["batch"] * training["ctx"], len(corpus.split("train"))
    model = f"{config.variant}, {config.n_parameters:,} parameters"
    return f"{model}; {tokens:,} tokens, {tokens / max(1, own):,.2f} times those of {printable(corpus.name)}"


def budget(config: Config, training: dict[str, Any], synops: int | None) -> float | None:
    """The density that --density or --synops allows. Raises UserError for both, and for more than all synapses."""
    if synops is None:
        return training["density"]
    if training["density"] is not None:
        raise UserError("--density and --synops are the same budget: name one")
    if synops >= config.spike_synapses:
        raise UserError(
            f"--synops {synops:,}: a {config.variant} model of this shape has {config.spike_synapses:,} spike-fed "
            f"synapses; a budget is below that"
        )
    return synops / config.spike_synapses


def note(row: dict) -> tuple[str, str]:
    """A row of the log in one line: the figures, and the rates of its populations."""
    unit = "byte" if row["train_bits_per_byte"] != "" else "token"
    parts = [f"{row[f'train_bits_per_{unit}']:.3f} bits per {unit}", f"{row['tokens_per_s']:,.0f} tokens/s"]
    if row["density"] != "":
        parts.append(f"density {row['density']:.3f}")
    rates = [f"{key[5:]} {value:.2f}" for key, value in row.items() if key.startswith("rate_")]
    return ", ".join(parts), ", rates " + " ".join(rates) if rates else ""
