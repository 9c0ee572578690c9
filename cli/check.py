"""`spikegpt check`: what a target makes of every node of a network, before it is exported."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from cli.inputs import (
    Learned,
    is_lowered,
    known_tokenizer,
    load_graph,
    load_text,
    lowered_file,
    network_in,
    taken_for_events,
    tokenizer_if_known,
)
from cli.layout import table
from cli.options import (
    Step,
    Taken,
    checkpoint_options,
    inputs_option,
    json_option,
    model_argument,
    refuse,
    split_option,
    step_options,
    tokenizer_option,
    tokens_option,
)
from spikegpt.errors import UserError
from spikegpt.escape import printable

if TYPE_CHECKING:
    from exporters.check import NodeCheck

REFUSES = 1  # exit code where anything is refused


@click.command(short_help="Say what a target makes of every node.")
@model_argument
@click.option("--target", required=True, help="nir (and the simulator), onnx, loihi (standard Lava) or netx.")
@inputs_option
@step_options
@tokenizer_option
@checkpoint_options
@split_option
@tokens_option(1000)
@json_option
def check(model: str, target: str, data: str | None, step: Step, tokenizer: str | None, split: str | None,
          tokens: int, as_json: bool, taken: Taken) -> None:  # fmt: skip
    """Each node as supported, substituted or refused, as the export itself would find; exit code 1 if any is refused.

    With --data, on its first --tokens (steps of inputs), how many spikes of each population the integers change.

    \b
    Example:
      spikegpt check shipped:kjv --target loihi
    """
    from exporters.check import REFUSED, TARGETS

    if target not in TARGETS:
        raise UserError(f"target {target!r} is not one of {', '.join(TARGETS)}")
    found = _found(model, target, data, step, tokenizer, split, tokens, taken)
    refused = sum(finding.status == REFUSED for finding in found)
    if as_json:
        click.echo(json.dumps({"target": target, "refused": refused, "nodes": [asdict(finding) for finding in found]}))
    else:
        rows = [
            (f.node, f.kind, f.status, *([] if data is None else ["" if f.drift is None else f"{f.drift:.3%}"]), f.why)
            for f in found
        ]
        head = ("node", "kind", "status", *([] if data is None else ["drift"]), "why")
        rows = [tuple(map(printable, row)) for row in rows]
        click.echo(table(head, rows, ("kind", "status", "why")))
        click.echo(f"{target}: {refused} of {len(found)} refused" if refused else f"{target}: takes all {len(found)}")
    if refused:
        raise SystemExit(REFUSES)


def _found(model: str, target: str, data: str | None, step: Step, tokenizer: str | None, split: str | None,
           most: int, taken: Taken) -> "tuple[NodeCheck, ...]":  # fmt: skip
    from exporters.check import NETWORK, check_kinds, check_target
    from hw_sim.graph.foreign import drive, inputs_of, with_input_neurons
    from hw_sim.graph.recordings import read_recording

    if data is None:
        refuse("goes with --data", "split", "tokens")
    try:
        network = network_in(model, step, taken)
        graph = network if network is not None else load_graph(model, taken, tokenizer)
    except UserError:
        if is_lowered(model) and (found := check_kinds(Path(lowered_file(model)))):
            return found
        raise
    if network is not None:
        refuse("of a text; this is a network of another tool", "split", "tokenizer")
    tokens = None
    if data is not None:
        if network is not None:
            recorded = read_recording(data, *inputs_of(network))
            inputs = recorded.inputs[:most]
            driven = with_input_neurons(drive(network, inputs, taken_for_events(network, recorded, data)))
            found = check_target(driven, target, np.arange(len(inputs)))
            return tuple(f for f in found if f.node in network.nodes or f.node == NETWORK)
        cut = known_tokenizer(tokenizer_if_known(model, graph, tokenizer), model)
        tokens = load_text(data, split, most, cut, Learned.by_graph(model, graph))[1].astype(np.int64)
    return check_target(graph, target, tokens)
