"""A network's report as Markdown and as the page: the same words, tables and pictures in both."""

from typing import Any

import msgspec

from hw_sim.energy.cite import booktabs, lines_of
from hw_sim.energy.markdown import table as markdown_table
from hw_sim.energy.network import words
from hw_sim.energy.network.report import NETWORK, TWIN, NetworkReport
from hw_sim.energy.network.tables import KINDS, chosen, energy, operations, tables
from hw_sim.energy.page import draw
from hw_sim.energy.page.chip import chip
from hw_sim.energy.page.neurons import raster, rates
from hw_sim.energy.page.pictures import bands, grouped, shares, work
from hw_sim.energy.page.render import choices, compact, markup, rendered
from hw_sim.energy.page.state import Chart
from hw_sim.energy.schema import Column
from spikegpt.escape import legible
from spikegpt.escape import markdown as escaped


def markdown(report: NetworkReport) -> str:
    """The report as Markdown."""
    found = [
        f"# {escaped(words.title(report))}",
        f"**{escaped(words.verdict(report))}** (modelled)",
        escaped(words.quality(report)),
        escaped(words.basis(report)),
        *(markdown_table(t) for t in tables(report)),
        "## Method\n\n" + "\n".join(f"- **{name}.** {escaped(text)}" for name, text in words.METHOD),
        "## Provenance\n\n" + "\n".join(f"- {key}: {escaped(value)}" for key, value in provenance(report)),
    ]
    return "\n\n".join(found) + "\n"


def page(given: NetworkReport) -> str:
    """The report as a page that needs no network."""
    report = msgspec.convert(legible(msgspec.to_builtins(given)), NetworkReport)
    first, drawn = words.shown_first(report), charts(report)
    at = first.name if first else ""
    columns = [c for c in report.columns if first and c.name in report.row(NETWORK).energy_j]
    data = {
        "first": at,
        "choices": choices(columns),
        "specs": {c.name: draw.vega(c) for c in drawn} if first else {},
        "reports": [
            {
                "grades": {c.name: report.profiles[c.profile]["grade"] for c in columns},
                "charts": {c.name: {"states": {key: compact(s) for key, s in c.states.items()}} for c in drawn},
                "chosen": {f"{c.name}@": switched(report, c.name) for c in columns},
            }
        ],
    }
    return rendered(
        switched=first is not None, data=data, title=words.title(report), reports=[article(report, drawn, first)],
        columns=columns, settings=False, method=words.METHOD,
    )  # fmt: skip


def article(report: NetworkReport, drawn: list[Chart], first: Column | None) -> dict[str, Any]:
    """What the template says, in the first state of the switch."""
    at = first.name if first else ""
    return {
        "id": "",
        "name": report.network,
        "title": words.title(report),
        "verdict": words.verdict(report),
        "quality": words.quality(report),
        "basis": words.basis(report),
        "column": at,
        "grade": report.profiles[first.profile]["grade"] if first else "",
        "verdicts": [(c.column, f"{c.text}.") for c in report.chips],
        "findings": words.findings(report),
        "chosen": chosen(report, at) if first else None,
        "charts": [
            {"name": c.name, "state": state, "svg": markup(draw.svg(c, state, at))}
            for c in drawn
            if (state := c.states.get(at) or c.states.get(""))
        ],
        "tables": tables(report),
        "paper": "",
        "command": report.provenance.get("command"),
        "provenance": [(key, value) for key, value in provenance(report) if key != "command"],
        "citation": f"{words.title(report)}. Energy report (schema {report.schema}), SpikeGPT toolchain "
        f"{report.provenance.get('spikegpt', '')}; inputs sha256 {report.inputs_sha256[:16]}.",
        "csv": lines_of(
            ["row", "counts", *KINDS, *(f"{c.name} [J]" for c in report.columns)],
            (
                [r.name, r.counts, *(getattr(r, kind) for kind in KINDS),
                 *(r.energy_j[c.name][0] if c.name in r.energy_j else None for c in report.columns)]
                for r in report.rows
            ),
        ),
        "latex": booktabs(words.title(report), shown if (shown := energy(report)).rows else operations(report)),
    }  # fmt: skip


def provenance(report: NetworkReport) -> list[tuple[str, str]]:
    """What would be needed to repeat it."""
    own = {"network": report.network, "recording": report.recording, "inputs_sha256": report.inputs_sha256}
    return list((own | report.provenance).items())


def charts(report: NetworkReport) -> list[Chart]:
    """Every picture that this report has data for."""
    found = [
        ratios(report),
        terms(report),
        work(
            [{"layer": m.name, "part": m.kind, "done": m.done, "dense": m.dense} for m in report.matrices],
            report.row(NETWORK).elementwise,
            report.unit,
        ),
        rates(report),
        raster(report),
        chip(report),
    ]
    return [chart for chart in found if chart and chart.states]


def ratios(report: NetworkReport) -> Chart | None:
    found = [(name, by) for name, by in report.ratios.items() if by]
    if not found:
        return None
    state = bands(found, {c.name: c for c in report.columns}, "the network")
    return Chart("range", "range", {"": state}, {"axis": "times the network's energy"})


def terms(report: NetworkReport) -> Chart:
    """Where the energy goes, of the network and of its twin, by column."""
    states = {}
    for column in report.columns:
        bars = {
            name: grouped(by[column.name])
            for name in (NETWORK, TWIN)
            if sum((by := report.row(name).energy_terms_j).get(column.name, {}).values()) > 0
        }
        if NETWORK in bars:
            states[column.name] = shares(bars, NETWORK, report.unit)
    return Chart("terms", "terms", states)


def switched(report: NetworkReport, column: str) -> dict[str, Any]:
    made = chosen(report, column)
    return {"caption": made.caption, "rows": made.rows, "prose": made.prose}
