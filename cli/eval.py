"""`spikegpt eval`: the quality of a checkpoint on a text, in PyTorch."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from cli.inputs import Learned, is_lowered, known_tokenizer, load_model, load_text
from cli.layout import folded
from cli.options import (
    Taken,
    checkpoint_options,
    data_option,
    json_option,
    split_option,
    tokenizer_option,
    tokens_option,
)
from cli.parameters import Model
from cli.progress import progress_bar
from spikegpt.errors import UserError
from spikegpt.escape import printable


@click.command("eval", short_help="Bits per byte, character and token on a text.")
@click.argument("checkpoint", type=Model(Path))
@data_option
@tokenizer_option
@checkpoint_options
@split_option
@tokens_option(None, "all")
@click.option("--streams", type=click.IntRange(1), default=8, show_default=True, help="Runs the text is cut into.")
@json_option
def evaluate(checkpoint: Path, data: str | None, tokenizer: str | None, split: str | None, tokens: int | None,
             streams: int, as_json: bool, taken: Taken) -> None:  # fmt: skip
    """Bits per byte, character and token of a checkpoint on a text, and the firing rates of its populations.

    \b
    Example:
      spikegpt eval shipped:kjv --tokens 4096
    """
    from spikegpt.evaluation import evaluate as run

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
    click.echo(folded(f"{in_units(asdict(score))} of {printable(corpus.name)}"))
    if score.density is not None:
        click.echo(f"{score.density:.4f} of the spike-fed synapses active a token")


def in_units(score: dict) -> str:
    """A score in every unit that is known, and over how many tokens."""
    units = [
        f"{score[f'bits_per_{u}']:.4f} bits per {u}" for u in ("byte", "character", "token") if score[f"bits_per_{u}"]
    ]
    return f"{', '.join(units)} over {score['predicted']:,} tokens"
