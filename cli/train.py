"""`spikegpt train`, `eval` and `generate`: the torch side of the command line."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import click

from cli.inputs import (
    Learned,
    Taken,
    checkpoint_options,
    data_option,
    is_lowered,
    known_tokenizer,
    load_graph,
    load_model,
    load_text,
    named_tokenizer,
    new_tokenizer_option,
    progress_bar,
    split_option,
    tokenizer_of,
    tokenizer_option,
)
from cli.parameters import SEED, Device, Model, NewFolder, Real, Text
from spikegpt.config import PRESETS, SPIKE_DRIVEN, TRANSFORMER, VARIANTS, preset
from spikegpt.errors import UserError
from spikegpt.escape import printable


@click.command()
@click.option("--variant", type=click.Choice([*VARIANTS, TRANSFORMER]), default=SPIKE_DRIVEN, show_default=True)
@data_option
@new_tokenizer_option
@click.option("--out", type=NewFolder(), required=True, help="Folder for checkpoints and logs.")
@click.option("--preset", "size", type=click.Choice(list(PRESETS)), default="tiny", show_default=True)
@click.option("--layers", type=int, help="Instead of the preset's.")
@click.option("--width", type=int, help="Instead of the preset's.")
@click.option("--steps", default=2000, show_default=True)
@click.option("--batch", default=8, show_default=True, help="Windows a step, over all processes.")
@click.option("--accumulate", default=1, show_default=True, help="Parts a batch is computed in, to save memory.")
@click.option("--ctx", default=256, show_default=True, help="Tokens a window.")
@click.option("--lr", type=Real(0, min_open=True), default=5e-3, show_default=True, help="Peak learning rate.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--density", type=Real(), help="Budget for the share of active synapses, e.g. 0.05 (spike-driven).")
@click.option("--synops", type=int, help="The same budget as accumulates a token, on weights that are not zero.")
@click.option("--sparsity", type=Real(), help="Share of these synapses to prune to zero meanwhile, e.g. 0.5.")
@click.option(
    "--teacher",
    type=Model(Path),
    help="A checkpoint whose predictions are to be matched; of equal shape, its weights are the start.",
)
@click.option("--start", type=Model(Path), help="A checkpoint of the same shape to start from.")
@click.option("--device", type=Device(), default="auto", show_default=True, help="cpu, cuda, or a GPU if there is one.")
@click.option("--bf16/--no-bf16", default=None, help="Matrix products in bfloat16; default: on a GPU.")
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@click.option("--force", is_flag=True, help="Replace the run in --out; with --resume, begin one if there is none.")
def train(variant: str, data: str | None, tokenizer: str | None, out: Path, size: str, layers: int | None,
          width: int | None, steps: int, batch: int, accumulate: int, ctx: int, lr: float, seed: int,
          density: float | None, synops: int | None, sparsity: float | None, teacher: Path | None,
          start: Path | None, device: str, bf16: bool | None, resume: bool, force: bool) -> None:  # fmt: skip
    """Train a model on a text; leaves model.pt, log.csv and run.json. Several processes: start it with torchrun.

    Example: spikegpt train --variant spike-driven --steps 8000 --lr 6e-3 --density 0.05 --bf16 --out runs/kjv
    """
    import os

    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from spikegpt import run_folder
    from spikegpt.corpus import load_corpus
    from spikegpt.distributed import choose_device
    from spikegpt.train import TrainConfig
    from spikegpt.train import train as run

    first = os.environ.get("RANK", "0") == "0"
    if first:
        run_folder.check(out, resume=resume, force=force)
    corpus = load_corpus(data, named_tokenizer(tokenizer))
    shape = {k: v for k, v in {"n_layer": layers, "n_embd": width}.items() if v is not None}
    if corpus.tokenizer is not None:
        shape["vocab_size"] = corpus.tokenizer.vocab_size
    config = preset(size, variant, ctx_len=ctx, **shape)
    if synops is not None:
        if density is not None:
            raise UserError("--density and --synops are the same budget: name one")
        density = synops / max(1, config.spike_synapses)
    if (density or sparsity) and variant != SPIKE_DRIVEN:
        raise UserError(
            f"a {variant} model has no binary synaptic operations to budget: leave --density and --sparsity away"
        )
    bf16 = choose_device(device).type == "cuda" if bf16 is None else bf16
    settings = TrainConfig(steps, batch, accumulate, ctx, lr, seed=seed, bf16=bf16, density=density, sparsity=sparsity)
    columns = (
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not (first and sys.stderr.isatty())) as bar:
        task = bar.add_task("training", total=steps, note="")
        _, score = run(
            config,
            corpus,
            settings,
            out,
            teacher=teacher,
            start=start,
            resume=resume,
            force=force,
            device=device,
            report=lambda row: bar.update(task, completed=int(row["step"]), note=note(row)),
            command=["spikegpt", *sys.argv[1:]],
        )
    if first:
        click.echo(f"{in_units(asdict(score))} of validation text; {out / 'model.pt'}")


def note(row: dict) -> str:
    """A row of the log in one line."""
    unit = "byte" if row["train_bits_per_byte"] != "" else "token"
    parts = [f"{row[f'train_bits_per_{unit}']:.3f} bits per {unit}", f"{row['tokens_per_s']:,.0f} tokens/s"]
    if row["density"] != "":
        parts.append(f"density {row['density']:.3f}")
    rates = [f"{key[5:]} {value:.2f}" for key, value in row.items() if key.startswith("rate_")]
    return ", ".join(parts + (["rates " + " ".join(rates)] if rates else []))


def in_units(score: dict) -> str:
    """A score in every unit that is known, and over how many tokens."""
    units = [
        f"{score[f'bits_per_{u}']:.4f} bits per {u}" for u in ("byte", "character", "token") if score[f"bits_per_{u}"]
    ]
    return f"{', '.join(units)} over {score['predicted']:,} tokens"


@click.command("eval")
@click.argument("checkpoint", type=Model(Path))
@data_option
@tokenizer_option
@checkpoint_options
@split_option
@click.option("--tokens", type=click.IntRange(2), help="Only the first N tokens of the part.")
@click.option("--streams", type=click.IntRange(1), default=8, show_default=True, help="Runs the text is cut into.")
@click.option("--json", "as_json", is_flag=True)
def evaluate(checkpoint: Path, data: str | None, tokenizer: str | None, split: str | None, tokens: int | None,
             streams: int, as_json: bool, taken: Taken) -> None:  # fmt: skip
    """Bits per byte, character and token of a checkpoint on a text, and the firing rates of its populations.

    Example: spikegpt eval models/kjv-spike-driven.pt --split test
    """
    from spikegpt.evaluate import evaluate as run

    if is_lowered(str(checkpoint)):
        raise UserError(f"{checkpoint} has no PyTorch model: use `spikegpt simulate`")
    model = load_model(checkpoint, taken, tokenizer)
    units = known_tokenizer(model.tokenizer, checkpoint)
    corpus, part = load_text(data, split, tokens, units, Learned.by_model(checkpoint, model))
    with progress_bar("evaluating", len(part), as_json) as advance:
        score = run(model, part, streams, advance)
    if as_json:
        click.echo(json.dumps({**asdict(score), "text": corpus.name, "text_sha256": corpus.sha256}))
        return
    click.echo(f"{in_units(asdict(score))} of {printable(corpus.name)}")
    if score.density is not None:
        click.echo(f"{score.density:.4f} of the spike-fed synapses active a token")


@click.command()
@click.argument("model", type=Model())
@tokenizer_option
@checkpoint_options
@click.option("--prompt", type=Text(), default="In the beginning", show_default=True)
@click.option("--tokens", type=click.IntRange(1), default=200, show_default=True)
@click.option("--temperature", type=Real(0), default=0.8, show_default=True, help="0: always the likeliest.")
@click.option("--top-p", type=Real(0, 1, min_open=True), default=0.95, show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--stop", type=Text(), help="End after this text.")
def generate(model: str, tokenizer: str | None, prompt: str, tokens: int, temperature: float, top_p: float,
             seed: int, stop: str | None, taken: Taken) -> None:  # fmt: skip
    """Continue a prompt token by token: a checkpoint in PyTorch, a .nir file in the event simulator.

    Example: spikegpt generate models/kjv-spike-driven.pt --prompt "And God said"
    """
    start = simulated if is_lowered(model) else recurrent
    stdout, seen = sys.stdout.buffer, encoded(prompt, "--prompt")
    ending = encoded(stop, "--stop") if stop else b""
    pieces = start(model, taken, tokenizer, seen, tokens, temperature, top_p, seed)
    first = next(pieces)  # whatever is wrong with the model or the prompt shows before anything is printed
    stdout.write(seen)
    stdout.flush()
    for piece in chain([first], pieces):
        stdout.write(piece)
        stdout.flush()
        seen += piece
        if ending and ending in seen[-len(piece) - len(ending) :]:
            break
    stdout.write(b"\n")


def encoded(text: str, option: str) -> bytes:
    """UTF-8 of what the user typed. Raises UserError where that was none."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{option}: {printable(text)} is not UTF-8 text") from error


def recurrent(path: str, taken: Taken, tokenizer: str | None, *arguments: Any) -> Iterator[bytes]:
    """The continuation that a checkpoint gives."""
    from spikegpt.generate import generate

    model = load_model(path, taken, tokenizer)
    return generate(model, known_tokenizer(model.tokenizer, path), *arguments)


def simulated(path: str, taken: Taken, tokenizer: str | None, *arguments: Any) -> Iterator[bytes]:
    """The continuation that a lowered model gives, event by event."""
    from hw_sim import Simulator
    from spikegpt.sampling import continue_text

    graph = load_graph(path, taken, tokenizer)
    simulator = Simulator.from_nir(graph)
    return continue_text(
        lambda tokens: simulator.run(tokens).logits[-1], tokenizer_of(path, graph, tokenizer), *arguments
    )
