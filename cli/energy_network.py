"""`spikegpt energy-report` on a network of another tool: its counts and prices beside its twin that multiplies."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cli.progress import progress_bar
from spikegpt import files, folders
from spikegpt.documents import read_document
from spikegpt.errors import UserError

if TYPE_CHECKING:
    import nir

    from hw_sim.energy.gate import Limits, Verdict
    from hw_sim.energy.network import NetworkReport
    from hw_sim.energy.settings import Settings

KIND = "network-report"
FORMS = ("report.json", "report.md")


def report_network(network: "nir.NIRGraph", model: str, data: str | None, steps: int | None, spike_input: bool,
                   settings: "Settings", quiet: bool) -> "NetworkReport":  # fmt: skip
    """Run and price a network on recorded inputs. Raises UserError where there are none, or they do not fit."""
    from hw_sim.energy.network import network_report
    from hw_sim.graph.foreign import STEP_KEY, inputs_of
    from hw_sim.graph.recordings import read_recording

    if data is None:
        raise UserError(f"{model}: no token network; --data names the inputs that it is to run on")
    recorded = read_recording(data, *inputs_of(network))
    inputs = recorded.inputs[:steps]
    with progress_bar("measuring", None, quiet):
        return network_report(
            network, inputs, settings, spike_input=spike_input or recorded.events, network=Path(model).name,
            recording=Path(data).name, inputs_sha256=hashlib.sha256(inputs.tobytes()).hexdigest(),
            time_step=network.metadata[STEP_KEY],
        )  # fmt: skip


def publish_network(report: "NetworkReport", out: Path | None, force: bool, as_json: bool) -> None:
    """Write report.json and report.md, and print one."""
    from hw_sim.energy.network import markdown

    text = msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
    shown = markdown(report)
    if out:
        with folders.new_folder(out, KIND, force=force, shared=FORMS) as new:
            for name, content in zip(FORMS, (text + "\n", shown), strict=True):
                files.write_text(new.path / name, content)
    click.echo(text if as_json else shown)


def compare_networks(path: Path, report: "NetworkReport", limits: "Limits") -> "Verdict":
    """The network's operations and energies against those of an earlier report.json. Raises UserError where that is of
    another network, other inputs or another step."""
    from hw_sim.energy.gate import Line, Verdict
    from hw_sim.energy.network import NETWORK, NetworkReport

    earlier = read_document(path, NetworkReport)
    for field in ("schema", "network", "inputs_sha256", "steps", "time_step"):
        before, now = getattr(earlier, field), getattr(report, field)
        if before != now:
            raise UserError(f"{path}: {field} was {before!r} and is {now!r}: nothing to compare")
    old, new = earlier.row(NETWORK), report.row(NETWORK)
    lines = [Line(NETWORK, "operations", "a step", old.operations, new.operations, limits.increase)]
    lines += [
        Line(NETWORK, column, "µJ a step", old.energy_j[column][0] * 1e6, joules[0] * 1e6, limits.increase)
        for column, joules in new.energy_j.items()
        if column in old.energy_j and old.energy_j[column][0]
    ]
    dead = (NETWORK,) if old.spikes and not new.spikes else ()
    return Verdict(tuple(line for line in lines if line.before), False, dead)
