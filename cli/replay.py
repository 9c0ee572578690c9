"""`spikegpt replay`: a NIR network of any tool, fed with recorded inputs in the event simulator."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from cli.inputs import taken_for_events
from cli.layout import folded, table
from cli.options import Step, force_option, goes_with, json_option, step_options
from cli.parameters import NewFile
from cli.progress import progress_bar
from spikegpt import files
from spikegpt.errors import UserError
from spikegpt.escape import printable

NIR_DATA = (".nir", ".h5", ".hdf5")  # suffixes of NIRData
MISMATCH = 1  # exit code when recorded spikes differ


@click.command(short_help="Run a NIR network of any tool on recorded inputs.")
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("recording", type=click.Path(path_type=Path), required=False)
@step_options
@click.option(
    "--out",
    type=NewFile(".npz", *NIR_DATA),
    help="File for spikes by population: .npz, with the output; .h5 for NIRData, with the inputs.",
)
@force_option
@json_option
@goes_with(force="out")
def replay(network: Path, recording: Path | None, step: Step, out: Path | None, force: bool,
           as_json: bool) -> None:  # fmt: skip
    """Run a .nir network of standard nodes on inputs (T, ..); counts spikes and synaptic operations.

    RECORDING is a .npy of inputs, a .csv of events (step or t in seconds; index, or x, y, p), a .npz of either, or
    NIRData; default: the .npz beside NETWORK that is called as it is. What spikes it holds of populations by name
    is compared; any that differ make the exit code 1. snnTorch and SpikingJelly write for --dt 1e-4, norse 1.1 for
    1e-6, Sinabs for 1; without --dt the file is asked, and the answer is said.

    \b
    Example:
      spikegpt replay out/nir/segments/block0_ffn_key.nir
    """
    from hw_sim import Simulator
    from hw_sim.graph.foreign import STEP_KEY, drive, inputs_of, read_foreign
    from hw_sim.graph.recordings import read_recording, write_nir_data

    if out is not None:
        files.check(out, force=force)
    graph = read_foreign(network, step.dt, step.convention)
    shape, dt = inputs_of(graph)
    recording = recording or network.with_suffix(".npz")
    recorded = read_recording(recording, shape, dt)
    inputs, record = recorded.inputs, recorded.spikes
    events = taken_for_events(graph, recorded, recording)
    simulator = Simulator.from_nir(drive(graph, inputs, events))
    with progress_bar("simulating", len(inputs), as_json) as advance:
        result = simulator.run(np.arange(len(inputs)), record=True, progress=advance)
    facts: dict[str, Any] = {
        "steps": len(inputs),
        "time_step": graph.metadata[STEP_KEY],
        "spikes": result.spike_counts,
        "synops": result.synops,
        "graded": result.graded,
        "macs": result.macs,
        "dense": result.dense,
        "mismatches": {},
    }
    for name, spikes in result.spikes.items():
        if name in record:
            if record[name].shape != spikes.shape:
                raise UserError(f"{recording}: {name} has shape {record[name].shape}, the network gives {spikes.shape}")
            facts["mismatches"][name] = int((record[name] != spikes).sum())
    if out is not None and out.suffix in NIR_DATA:
        write_nir_data(out, inputs.astype(bool) if events else inputs, result.spikes, dt)
    elif out is not None:
        arrays: dict[str, Any] = {"output": result.logits, **result.spikes}
        files.write(out, lambda file: np.savez_compressed(file, **arrays), signed=True)
    if as_json:
        click.echo(json.dumps(facts))
    else:
        rows = [
            (printable(name), f"{count:,} spikes", f"{wrong:,} differ from the recording" if wrong is not None else "")
            for name, count in facts["spikes"].items()
            for wrong in (facts["mismatches"].get(name),)
        ]
        click.echo(table(("", "", ""), rows))
        sentence = (
            f"{len(inputs):,} steps: {facts['synops']:,} binary SynOps + {result.graded:,} graded + "
            f"{facts['macs']:,} MACs of {result.dense:,} dense"
        )
        click.echo(folded(sentence))
        click.echo(facts["time_step"])
    if any(facts["mismatches"].values()):
        raise SystemExit(MISMATCH)
