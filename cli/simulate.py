"""`spikegpt simulate`: a lowered model on a text, event by event, or on Lava."""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from cli.inputs import Learned, is_lowered, load_graph, load_model, load_text, tokenizer_of
from cli.options import (
    UNTOLD,
    Taken,
    checkpoint_options,
    data_option,
    force_option,
    goes_with,
    json_option,
    lava_python_option,
    model_argument,
    refuse,
    split_option,
    tokenizer_option,
    tokens_option,
)
from cli.parameters import In, Model, NewFile, NewFolder, Real
from cli.progress import progress_bar
from cli.simulation import facts_of, summary
from hw_sim.counts.compare import SPIKES
from spikegpt import files
from spikegpt.errors import UserError

if TYPE_CHECKING:
    from hw_sim import Simulator
    from hw_sim.plan import Plan
    from hw_sim.run.streams import Score
    from hw_sim.run.traces import Trace

NIR_DATA = (".h5", ".hdf5")  # suffixes of NIRData
ONE_STREAM = 1000  # tokens, unless the text is cut into streams
DIFFERS = 1  # exit code
STREAMS = 64  # for Dask workers, unless named


@click.command(short_help="Run a network event by event; count spikes and operations.")
@model_argument
@data_option
@tokenizer_option
@checkpoint_options
@split_option
@tokens_option(None, f"{ONE_STREAM:,}; all with --streams, --workers or --scheduler")
@click.option(
    "--streams",
    type=click.IntRange(1),
    help=f"Cut the text into so many independent ones, run over cores [default with workers: {STREAMS}].",
)
@click.option("--workers", type=click.IntRange(1), help="Run the streams on a Dask cluster of so many processes here.")
@click.option("--scheduler", type=str, help="Run the streams on the Dask workers of the scheduler at this address.")
@click.option(
    "--resume", type=NewFolder(), help="Keep finished streams in this folder; those that it holds are not run."
)
@click.option(
    "--trace",
    type=NewFile(".npz", *NIR_DATA),
    help="File (.npz) for spikes and synaptic operations by token, or NIRData (.h5).",
)
@click.option(
    "--membrane",
    "membranes",
    multiple=True,
    metavar="POPULATION:INDEX",
    help="Put the membrane of this neuron into --trace; repeatable.",
)
@click.option(
    "--load-state", type=click.Path(path_type=Path, dir_okay=False), help="Go on from a state that --save-state left."
)
@click.option("--save-state", type=NewFile(".npz"), help="File (.npz) for the state after the last token.")
@force_option
@click.option("--backend", type=click.Choice(["event", "lava"]), default="event", show_default=True)
@lava_python_option
@click.option("--int8", is_flag=True, help="Quantise first (always so with the lava backend).")
@click.option(
    "--verify", type=Model(), help="Compare with this checkpoint in PyTorch, or on lava with the event backend."
)
@click.option(
    "--tolerance",
    type=Real(0, 1),
    default=SPIKES,
    show_default=True,
    help="Share of the spikes that may differ from --verify; exit code 1 beyond.",
)
@click.option(
    "--placement",
    type=In("mapping.json"),
    help="mapping.json of a Loihi export: how long the chip takes for the text (modelled).",
)
@click.option("--by-block", is_flag=True, help="A row for each block's matrices and populations, not one for all's.")
@json_option
@goes_with(force="trace save_state", membranes="trace", tolerance="verify")
def simulate(model: str, data: str | None, tokenizer: str | None, split: str | None, tokens: int | None,
             streams: int | None, workers: int | None, scheduler: str | None, resume: Path | None, trace: Path | None,
             membranes: tuple[str, ...], load_state: Path | None, save_state: Path | None, force: bool,
             backend: str, lava_python: str | None, int8: bool, verify: str | None, tolerance: float,
             placement: Path | None, by_block: bool, as_json: bool, taken: Taken) -> None:  # fmt: skip
    """Run a checkpoint, .nir file or Loihi export event by event; counts spikes and synaptic operations.

    With `--backend lava` the int8 network runs as Lava processes and is compared with the event simulator.

    \b
    Example:
      spikegpt simulate shipped:kjv --tokens 1000 --verify shipped:kjv
    """
    from hw_sim import Simulator
    from hw_sim.run.simulator import CHUNK
    from hw_sim.run.streams import cut, score, score_of

    if as_json:
        refuse("--json holds every block", "by_block")
    if lava_python is not None and backend != "lava":
        raise UserError("--lava-python goes with --backend lava")
    spread, whole = bool(streams or workers or scheduler), bool(verify) or backend == "lava"
    refuse_mixtures(spread, whole, workers, scheduler, resume, trace, load_state or save_state)
    check_places(resume, trace, save_state, force)
    said = UNTOLD if verify and is_lowered(model) else taken  # then it is of the checkpoint to compare with
    graph = load_graph(model, said, tokenizer)
    units = tokenizer_of(model, graph, tokenizer)
    corpus, part = load_text(
        data, split, tokens or (None if spread else ONE_STREAM), units, Learned.by_graph(model, graph)
    )
    simulator = Simulator.from_nir(graph)
    if (int8 or backend == "lava") and not simulator.plan.integer:
        from hw_sim.graph.quantize import quantize

        simulator = Simulator.from_nir(quantize(graph))
    del graph
    if placement and not simulator.plan.integer:
        raise UserError("--placement is of the int8 network: name the exported folder, or add --int8")
    simulator.run(part[:CHUNK])  # compiles or loads the loop and touches its memory: the time below is the run's
    simulator.reset()
    if load_state:
        simulator.load_state(load_state)
    pieces = cut(part, streams or STREAMS) if spread else [part]
    started = time.perf_counter()
    with progress_bar("simulating", len(part), as_json) as advance:
        if spread:
            found, started = score_pieces(simulator.plan, pieces, workers, scheduler, resume, advance)
        elif whole:
            result = simulator.run(part, record=True, progress=advance)
            found = score_of(result, part)
        else:
            with tracing(simulator.plan, trace, membranes) as to:
                found = score(simulator, part, advance, to)
    elapsed = time.perf_counter() - started
    if save_state:
        simulator.save_state(save_state)
    facts = {
        "text": corpus.name,
        "text_sha256": corpus.sha256,
        **facts_of(simulator.plan, found, pieces, units, elapsed),
    }
    if placement:
        facts["chip"] = chip_facts(placement, simulator, part, found)
    if backend == "lava":
        from exporters.loihi.lava import supervisor
        from hw_sim.counts.compare import compare

        with progress_bar("running Lava", len(part), as_json) as advance:
            lava = supervisor.run(simulator.plan, part, python=lava_python, progress=advance)
        facts["lava"] = {**compare(result.logits, result.spikes, lava.logits, lava.spikes), "time_s": lava.time_s}
    if verify:
        from hw_sim.counts.compare import agreement, compare
        from spikegpt.record import record

        seen = compare(result.logits, result.spikes, *record(load_model(verify, taken), part))
        agrees = agreement(seen, tolerance, same_precision=not simulator.plan.integer)
        facts["verify"] = {"checkpoint": verify, **seen, **agrees}
    click.echo(json.dumps(facts) if as_json else summary(facts, by_block))
    if backend == "lava" and not (facts["lava"]["equal_logits"] and facts["lava"]["spike_mismatches"] == 0):
        click.echo("the Lava run differs from the event simulation", err=True)
        sys.exit(DIFFERS)
    if verify and not facts["verify"]["agrees"]:
        click.echo(f"the simulation differs from {verify} beyond the tolerance", err=True)
        sys.exit(DIFFERS)


def chip_facts(placement: Path, simulator: "Simulator", part: np.ndarray, found: "Score") -> dict[str, Any]:
    """How long the chip of a mapping takes for the first tokens of the text. Raises UserError where nobody knows."""
    from msgspec import to_builtins

    from exporters.loihi.mapping.reread import read_mapping
    from exporters.loihi.mapping.timing import RECORDED, speed_of

    mapping = read_mapping(placement, simulator.plan, found.counts)
    simulator.reset()
    timed = speed_of(mapping, simulator.run(part[:RECORDED], record=True).spikes)
    if timed is None:
        raise UserError(f"{placement}: no times of {mapping.chip.name} are published; export with --chip loihi1")
    speed = timed[0]
    return {"chip": mapping.chip.name, **to_builtins(speed), "tokens_per_s": speed.tokens_per_s,
            "tokens_per_s_alone": speed.tokens_per_s_alone}  # fmt: skip


def check_places(resume: Path | None, trace: Path | None, save_state: Path | None, force: bool) -> None:
    """Raises UserError where something cannot be written, before the work is done."""
    from hw_sim.run.resume import check

    if trace is not None and save_state is not None and trace.resolve() == save_state.resolve():
        raise UserError("--trace and --save-state name the same file")
    for file in (trace, save_state):
        if file is not None:
            files.check(file, force=force)
    if resume is not None:
        check(resume)


def refuse_mixtures(spread: bool, whole: bool, workers: int | None, scheduler: str | None, resume: Path | None,
                    trace: Path | None, state: Path | None) -> None:  # fmt: skip
    """Raises UserError for options that mean nothing together."""
    if workers and scheduler:
        raise UserError("--workers starts a Dask cluster, --scheduler uses one: name one of the two")
    if spread and (whole or trace or state):
        raise UserError("--verify, --backend lava, --trace and states follow one stream, not --streams over cores")
    if whole and (trace or state):
        raise UserError(
            "--verify and --backend lava compare whole runs from the empty state, without --trace or states"
        )
    if resume and not spread:
        raise UserError("--resume keeps finished streams: cut the text with --streams, --workers or --scheduler")


def score_pieces(plan: "Plan", pieces: list[np.ndarray], workers: int | None, scheduler: str | None,
                 resume: Path | None, advance: Callable[[int], None]) -> "tuple[Score, float]":  # fmt: skip
    """Run independent streams on Dask workers, or on the cores of this process; also when the first of them began."""
    from hw_sim.run.resume import Finished
    from hw_sim.run.streams import score_streams

    finished = Finished(resume, plan, pieces) if resume else None
    if not (workers or scheduler):
        started = time.perf_counter()
        return score_streams(plan, pieces, len(os.sched_getaffinity(0)), finished, advance), started
    from hw_sim.run import cluster

    with cluster.client(scheduler, workers or 1) as client:
        started = time.perf_counter()
        return cluster.score_on(client, plan, pieces, finished, advance), started


def tracing(plan: "Plan", path: Path | None, membranes: tuple[str, ...]) -> AbstractContextManager["Trace | None"]:
    """The trace to write, or none."""
    if path is None:
        return nullcontext()
    from hw_sim.run.traces import Trace

    return Trace(plan, path, membranes)
