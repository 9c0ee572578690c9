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
from spikegpt.escape import printable, rich

if TYPE_CHECKING:
    import nir

    from hw_sim.energy.gate import Limits, Verdict
    from hw_sim.energy.network.report import NetworkReport
    from hw_sim.energy.settings import Settings

KIND = "network-report"
FORMS = ("report.json", "report.md", "report.html")


def report_network(network: "nir.NIRGraph", model: str, data: str | None, steps: int | None, spike_input: bool,
                   settings: "Settings", placement: Path | None, provenance: dict[str, str],
                   quiet: bool) -> "NetworkReport":  # fmt: skip
    """Run and price a network on recorded inputs. Raises UserError where there are none, or they do not fit."""
    from exporters.energy_network import report_of_network
    from hw_sim.graph.foreign import STEP_KEY, inputs_of
    from hw_sim.graph.recordings import read_recording

    if data is None:
        raise UserError(f"{model}: no token network; --data names the inputs that it is to run on")
    recorded = read_recording(data, *inputs_of(network))
    inputs = recorded.inputs[:steps]
    with progress_bar("measuring", None, quiet):
        return report_of_network(
            network, inputs, settings, spike_input=spike_input or recorded.events, placement=placement,
            network=Path(model).name, recording=Path(data).name, time_step=network.metadata[STEP_KEY],
            inputs_sha256=hashlib.sha256(inputs.tobytes()).hexdigest(), provenance=provenance,
        )  # fmt: skip


def publish_network(report: "NetworkReport", out: Path | None, force: bool, as_json: bool) -> None:
    """Write the report in all its forms, and print one."""
    from hw_sim.energy.network.forms import markdown, page

    text = msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
    shown = markdown(report)
    if out:
        with folders.new_folder(out, KIND, force=force, shared=FORMS) as new:
            for name, content in zip(FORMS, (text + "\n", shown, page(report)), strict=True):
                files.write_text(new.path / name, content)
    if as_json:
        click.echo(text)
        return
    print_network(report)
    if out:
        click.echo("\n".join(str(out / name) for name in reversed(FORMS)))


def print_network(report: "NetworkReport") -> None:
    """The verdict, counts and energies a step, the twins' ratios, chips; 80 characters wide."""
    from rich.console import Console

    from cli.tables import lined
    from hw_sim.energy.network import words
    from hw_sim.energy.network.report import NETWORK
    from hw_sim.energy.network.tables import amount, joules
    from hw_sim.energy.summary import Span
    from hw_sim.energy.tables import spanned

    console = Console()
    for line in (f"{words.verdict(report)} (modelled)", words.quality(report), words.basis(report)):
        console.print(printable(line), markup=False, highlight=False)
    kinds = {"accumulates": "accu-\nmulates", "graded": "graded", "macs": "MACs", "elementwise": "element-\nwise",
             "updates": "neuron\nupdates", "spikes": "spikes"}  # fmt: skip
    found = lined("Operations a step", [r.name for r in report.rows], *kinds.values())
    for r in report.rows:
        found.add_row(r.name, *(amount(getattr(r, kind)) for kind in kinds))
    console.print(found)
    found = lined("µJ a step (modelled), and times it (range); above 1 spikes save", [], "network", *report.ratios)
    own = report.row(NETWORK)
    for column in report.columns:
        if column.name in own.energy_j:
            spans = [by.get(column.name) for by in report.ratios.values()]
            against = [spanned(Span(*span) if span else None) for span in spans]
            found.add_row(rich(column.name), joules(own, column.name), *against)
    console.print(found)
    for chip in report.chips:
        console.print(printable(f"{chip.column}: {chip.text}."), markup=False)


def compare_networks(path: Path, report: "NetworkReport", limits: "Limits") -> "Verdict":
    """The network's operations and energies against those of an earlier report.json. Raises UserError where that is of
    another network, other inputs or another step."""
    from hw_sim.energy.gate import Line, Verdict
    from hw_sim.energy.network.report import INT8, NETWORK, NetworkReport

    earlier = read_document(path, NetworkReport)
    report = msgspec.json.decode(msgspec.json.encode(report), type=NetworkReport)  # as it would be read back
    for field in ("schema", "network", "inputs_sha256", "steps", "time_step"):
        before, now = getattr(earlier, field), getattr(report, field)
        if before != now:
            raise UserError(f"{path}: {field} was {before!r} and is {now!r}: nothing to compare")
    before, after = ({r.name: r for r in held.rows if r.name in (NETWORK, INT8)} for held in (earlier, report))
    if (alone := before.keys() ^ after.keys()) or earlier.profiles != report.profiles:
        what = f"the row {alone.pop()!r} is in one of them alone" if alone else "the prices are others"
        raise UserError(f"{path}: {what}: nothing to compare")
    lines, dead = [], []
    for name, old in before.items():
        new = after[name]
        lines.append(Line(name, "operations", "a step", old.operations, new.operations, limits.increase))
        lines += [
            Line(name, column, "µJ a step", old.energy_j[column][0] * 1e6, joules[0] * 1e6, limits.increase)
            for column, joules in new.energy_j.items()
            if column in old.energy_j and old.energy_j[column][0]
        ]
        dead += [name] * bool(old.spikes and not new.spikes)
    return Verdict(tuple(line for line in lines if line.before), False, tuple(dead))
