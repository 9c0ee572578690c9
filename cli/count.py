"""`spikegpt count`: what a network does on data, layer by layer, in exact integers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from cli import layout
from cli.inputs import Learned, known_tokenizer, load_graph, load_text, network_in, tokenizer_if_known
from cli.layout import folded
from cli.options import (
    Step,
    Taken,
    checkpoint_options,
    goes_with,
    inputs_option,
    json_option,
    model_argument,
    refuse,
    split_option,
    step_options,
    tokenizer_option,
)
from cli.progress import progress_bar
from spikegpt.arrays import read_arrays
from spikegpt.errors import UserError
from spikegpt.escape import printable

if TYPE_CHECKING:
    from hw_sim.counts.layers import LayerCounts

HEAD = ("layer", "fed by", "values", "dense", "MACs", "accumu-\nlates", "graded", "updates", "spikes")
LEFT = ("fed by", "values")
FIGURES = ("dense", "macs", "accumulates", "graded", "updates", "spikes")


@click.command(short_help="Count what any network does, layer by layer.")
@model_argument
@inputs_option
@click.option("--tokens", "--steps", "steps", type=click.IntRange(1),
              help="First tokens of the text, or time steps of the data, which lead with them.")  # fmt: skip
@click.option("--spike-input", is_flag=True, help="The inputs are events; else their values tell.")
@step_options
@tokenizer_option
@checkpoint_options
@split_option
@json_option
@goes_with(split="data", steps="data")
def count(model: str, data: str | None, steps: int | None, spike_input: bool, step: Step, tokenizer: str | None,
          split: str | None, as_json: bool, taken: Taken) -> None:  # fmt: skip
    """Dense and effective operations, multiply-accumulates, accumulates, neuron updates and spikes of a .nir network,
    an .onnx model or a checkpoint, on data; without data what structure alone tells.

    A network takes a .npy (T, ..) of inputs, a .npz that holds `input`, NIRData, or events (a .csv or .npz of step or
    t, and index or x, y, p), which are spikes; an .onnx model a .npy or a .npz of its inputs
    by name, a step a row with --steps; a language model a text or a .npy of token ids.

    \b
    Example:
      spikegpt count shipped:kjv
      spikegpt count shipped:kjv --data kjv --steps 100
    """
    if Path(model).suffix == ".onnx":
        refuse("an .onnx model takes none", "dt", "convention", "tokenizer", "variant", "embedding", "split")
        counts = _of_onnx(Path(model), data, steps, spike_input, as_json)
    else:
        counts = _of_network(model, data, split, steps, spike_input, step, tokenizer, taken, as_json)
    if as_json:
        click.echo(json.dumps(counts.to_dict()))
    else:
        click.echo(table(counts))


def _of_onnx(path: Path, data: str | None, steps: int | None, spike_input: bool, quiet: bool) -> "LayerCounts":
    from exporters.onnx_count import count_onnx, input_names

    inputs = read_arrays(data) if data is not None else None
    if inputs is not None and list(inputs) == [""]:
        inputs = {input_names(path)[0]: inputs[""]}
    if inputs is not None and steps is not None:
        for name, values in inputs.items():
            if not values.ndim or len(values) < steps:
                raise UserError(f"{data}: {name} has shape {values.shape}, fewer than {steps} steps")
    with progress_bar("counting", steps or 1, quiet) as advance:
        return count_onnx(path, inputs, steps, spike_input, advance)


def _of_network(model: str, data: str | None, split: str | None, steps: int | None, spike_input: bool, step: Step,
                tokenizer: str | None, taken: Taken, quiet: bool) -> "LayerCounts":  # fmt: skip
    from hw_sim.counts.networks import count_inputs, count_tokens
    from hw_sim.graph.foreign import inputs_of
    from hw_sim.graph.recordings import read_recording

    if (network := network_in(model, step, taken)) is not None:
        refuse("of a text; this is a network of another tool", "split", "tokenizer")
        recorded = read_recording(data, *inputs_of(network), steps) if data is not None else None
        inputs = recorded.inputs if recorded else None
        told = spike_input or (recorded is not None and recorded.events)
        with progress_bar("counting", 1 if inputs is None else len(inputs), quiet) as advance:
            return count_inputs(network, inputs, told, advance)
    refuse("of a network of another tool or an .onnx model; tokens are looked up", "spike_input")
    graph = load_graph(model, taken, tokenizer)
    tokens = None
    if data is not None:
        cut = known_tokenizer(tokenizer_if_known(model, graph, tokenizer), model)
        tokens = load_text(data, split, steps, cut, Learned.by_graph(model, graph))[1].astype(np.int64)
    with progress_bar("counting", 1 if tokens is None else len(tokens), quiet) as advance:
        return count_tokens(graph, tokens, advance)


def table(counts: "LayerCounts") -> str:
    """One line a layer that multiplies, adds or fires; totals below; - where no data told."""
    worked = [layer for layer in counts.layers if layer.dense or layer.updates]
    rows = [
        (printable(x.name), x.structure or "", x.values or "", *(_figure(getattr(x, name)) for name in FIGURES))
        for x in worked
    ]
    rows.append(("all", "", "", *(_figure(counts.total(name)) for name in FIGURES)))
    done = f"{counts.steps:,} steps; {sum(counts.elementwise.values()):,} element-wise operations"
    told = (done, *map(printable, counts.notes))
    return "\n".join((layout.table(HEAD, rows, LEFT, idle=("graded",)), *map(folded, told)))


def _figure(n: int | None) -> str:
    return "-" if n is None else f"{n:,}"
