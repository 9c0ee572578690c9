"""`spikegpt train`, `eval` and `generate`: the torch side of the command line."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from cli.inputs import load_text, progress_bar, split_option
from spikegpt.config import PRESETS, SPIKE_DRIVEN, TRANSFORMER, VARIANTS, preset


@click.command()
@click.option("--variant", type=click.Choice([*VARIANTS, TRANSFORMER]), default=SPIKE_DRIVEN, show_default=True)
@click.option("--data", type=str, help="Text or byte file; default: the embedded King James Bible.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for checkpoints and logs.")
@click.option("--preset", "size", type=click.Choice(list(PRESETS)), default="tiny", show_default=True)
@click.option("--layers", type=int, help="Instead of the preset's.")
@click.option("--width", type=int, help="Instead of the preset's.")
@click.option("--steps", default=2000, show_default=True)
@click.option("--batch", default=8, show_default=True)
@click.option("--ctx", default=256, show_default=True, help="Tokens a window.")
@click.option("--lr", default=5e-3, show_default=True, help="Peak learning rate.")
@click.option("--seed", default=0, show_default=True)
@click.option("--density", type=float, help="Budget for the share of active synapses, e.g. 0.05 (spike-driven).")
@click.option("--bf16/--no-bf16", default=False, help="Matrix products in bfloat16.")
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
def train(variant: str, data: str | None, out: Path, size: str, layers: int | None, width: int | None, steps: int,
          batch: int, ctx: int, lr: float, seed: int, density: float | None, bf16: bool,
          resume: bool) -> None:  # fmt: skip
    """Train a byte-level model on a text; leaves model.pt, log.csv and run.json.

    Example: spikegpt train --variant spike-driven --steps 8000 --lr 6e-3 --density 0.05 --bf16 --out runs/kjv
    """
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from spikegpt.corpus import load_corpus
    from spikegpt.train import TrainConfig
    from spikegpt.train import train as run

    shape = {k: v for k, v in {"n_layer": layers, "n_embd": width}.items() if v is not None}
    config = preset(size, variant, vocab_size=256, ctx_len=ctx, **shape)  # bytes
    settings = TrainConfig(steps=steps, batch=batch, ctx=ctx, lr=lr, seed=seed, bf16=bf16, density=density)
    corpus = load_corpus(data)
    columns = (
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("training", total=steps, note="")

        def report(row: dict) -> None:
            density_note = f", density {row['density']:.3f}" if row["density"] != "" else ""
            note = f"{row['train_bits_per_byte']:.3f} bits per byte{density_note}, {row['tokens_per_s']:,.0f} tokens/s"
            bar.update(task, completed=row["step"], note=note)

        _, score = run(config, corpus, settings, out, resume=resume, report=report)
    click.echo(
        f"{score.bits_per_byte:.4f} bits per byte on {score.predicted:,} bytes of validation text; {out / 'model.pt'}"
    )


@click.command("eval")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--data", type=str, help="Text or byte file; default: the embedded King James Bible.")
@split_option
@click.option("--tokens", type=click.IntRange(2), help="Only the first N tokens of the part.")
@click.option("--streams", type=click.IntRange(1), default=8, show_default=True, help="Runs the text is cut into.")
@click.option("--json", "as_json", is_flag=True)
def evaluate(
    checkpoint: Path, data: str | None, split: str | None, tokens: int | None, streams: int, as_json: bool
) -> None:
    """Bits per byte of a checkpoint on a text, and the firing rates of its populations.

    Example: spikegpt eval models/kjv-spike-driven.pt --split test
    """
    import spikegpt
    from spikegpt.evaluate import evaluate as run

    model = spikegpt.load(checkpoint)
    corpus, part = load_text(data, split, tokens)
    with progress_bar("evaluating", len(part), as_json) as advance:
        score = run(model, part, streams, advance)
    if as_json:
        click.echo(json.dumps({**asdict(score), "text": corpus.name, "text_sha256": corpus.sha256}))
        return
    click.echo(f"{score.bits_per_byte:.4f} bits per byte over {score.predicted:,} bytes of {corpus.name}")
    if score.density is not None:
        click.echo(f"{score.density:.4f} of the body's synapses active a token")


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--prompt", default="In the beginning", show_default=True)
@click.option("--tokens", type=click.IntRange(1), default=200, show_default=True)
@click.option(
    "--temperature", type=click.FloatRange(0), default=0.8, show_default=True, help="0: always the likeliest."
)
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--stop", help="End after this text.")
def generate(
    checkpoint: Path, prompt: str, tokens: int, temperature: float, top_p: float, seed: int, stop: str | None
) -> None:
    """Continue a prompt, byte by byte, with the recurrent form.

    Example: spikegpt generate models/kjv-spike-driven.pt --prompt "And God said"
    """
    import spikegpt
    from spikegpt.generate import generate as continue_prompt

    model = spikegpt.load(checkpoint)
    stdout, written = sys.stdout.buffer, prompt.encode()
    stdout.write(written)
    for token in continue_prompt(model, written, tokens, temperature, top_p, seed):
        stdout.write(bytes([token]))
        stdout.flush()
        written += bytes([token])
        if stop and written.endswith(stop.encode()):
            break
    stdout.write(b"\n")
