"""`spikegpt generate`: a prompt continued by a model."""

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from cli.inputs import is_lowered, known_tokenizer, load_graph, load_model, tokenizer_of
from cli.options import (
    Taken,
    checkpoint_options,
    force_option,
    goes_with,
    json_option,
    model_argument,
    seed_option,
    tokenizer_option,
)
from cli.parameters import NewFile, Real, Text
from spikegpt import files
from spikegpt.errors import UserError
from spikegpt.escape import printable

if TYPE_CHECKING:
    from spikegpt.sampling import TokenText


@click.command(short_help="Continue a prompt.")
@model_argument
@tokenizer_option
@checkpoint_options
@click.option("--prompt", type=Text(), default="In the beginning", show_default=True)
@click.option("--tokens", type=click.IntRange(1), default=200, show_default=True, help="Tokens to continue it by.")
@click.option("--temperature", type=Real(0), default=0.8, show_default=True, help="0: always the likeliest.")
@click.option("--top-p", type=Real(0, 1, min_open=True), default=0.95, show_default=True)
@seed_option
@click.option("--stop", type=Text(), help="End after this text.")
@click.option("--out", type=NewFile(".npy"), help="File (.npy) for the token ids of the continuation.")
@force_option
@json_option
@goes_with(force="out")
def generate(model: str, tokenizer: str | None, prompt: str, tokens: int, temperature: float, top_p: float,
             seed: int, stop: str | None, out: Path | None, force: bool, as_json: bool,
             taken: Taken) -> None:  # fmt: skip
    """Continue a prompt token by token: a checkpoint in PyTorch, a .nir file or an export in the event simulator.

    \b
    Example:
      spikegpt generate shipped:kjv --prompt "And God said" --tokens 60
    """
    if out is not None:
        files.check(out, force=force)
    start = simulated if is_lowered(model) else recurrent
    stdout, seen = sys.stdout.buffer, encoded(prompt, "--prompt")
    ending, ids = encoded(stop, "--stop") if stop else b"", []
    pieces = start(model, taken, tokenizer, seen, tokens, temperature, top_p, seed)
    first = next(pieces)  # whatever is wrong with the model or the prompt shows before anything is printed
    show = stdout.write if not as_json else len
    show(seen)
    for piece in chain([first], pieces):
        ids.append(piece.token)
        stdout.flush()
        show(piece.text)
        seen += piece.text
        if ending and ending in seen[-len(piece.text) - len(ending) :]:
            break
    if out is not None:
        files.write(out, lambda file: np.save(file, np.array(ids)), signed=True)
    if as_json:
        click.echo(json.dumps({"text": seen.decode(errors="replace"), "tokens": ids}))
    else:
        stdout.write(b"\n")


def encoded(text: str, option: str) -> bytes:
    """UTF-8 of what the user typed. Raises UserError where that was none."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{option}: {printable(text)} is not UTF-8 text") from error


def recurrent(path: str, taken: Taken, tokenizer: str | None, *arguments: Any) -> "Iterator[TokenText]":
    """The continuation that a checkpoint gives."""
    from spikegpt.generation import feed_of
    from spikegpt.sampling import continue_text

    model = load_model(path, taken, tokenizer)
    return continue_text(feed_of(model), known_tokenizer(model.tokenizer, path), *arguments)


def simulated(path: str, taken: Taken, tokenizer: str | None, *arguments: Any) -> "Iterator[TokenText]":
    """The continuation that a lowered model gives, event by event."""
    from hw_sim import Simulator
    from spikegpt.sampling import continue_text

    graph = load_graph(path, taken, tokenizer)
    simulator = Simulator.from_nir(graph)
    return continue_text(
        lambda tokens: simulator.run(tokens).logits[-1], tokenizer_of(path, graph, tokenizer), *arguments
    )
