"""The report's pictures as data: what each shows in every state of the switch, with a title that says the finding.

The specification of a picture is a Vega-Lite file in specs/; its rows come from here. A state is keyed by what it
depends on: "column@context@batch", "@context@batch", "column", or "" where it follows nothing.
"""

from typing import Any

from hw_sim.energy.page.chip import chip
from hw_sim.energy.page.curves import curves
from hw_sim.energy.page.neurons import raster, rates
from hw_sim.energy.page.pictures import Rivalry, bands, grouped, shares, work
from hw_sim.energy.page.state import Chart, State
from hw_sim.energy.schema import Report
from hw_sim.energy.summary import label, rivals


def charts(report: Report) -> list[Chart]:
    """Every picture that this report has data for."""
    found = [
        ratios(report),
        quality(report),
        terms(report),
        operations(report),
        *curves(report),
        rates(report),
        raster(report),
        chip(report),
    ]
    return [chart for chart in found if chart and chart.states]


def settings(report: Report) -> list[tuple[int, int]]:
    """(context, batch) that the switch offers: the report's own first."""
    own = (report.measurement["context"], report.measurement["batch"])
    return [own, *((s.context, s.batch) for s in report.scenarios if (s.context, s.batch) != own)]


def at(setting: tuple[int, int], column: str = "") -> str:
    """The key of a state that depends on the setting."""
    return f"{column}@{setting[0]}@{setting[1]}"


def state_of(chart: Chart, column: str, setting: tuple[int, int]) -> State | None:
    """What a picture shows at a column and setting, None: nothing; page.js looks states up alike."""
    return next((chart.states[k] for k in (at(setting, column), at(setting), column, "") if k in chart.states), None)


def ratios(report: Report) -> Chart | None:
    """One band a rival, all columns."""
    columns = {c.name: c for c in report.columns}
    own = rivals(report)
    if not own:
        return None
    states = {}
    for setting in settings(report):
        found = [(r.label, r.spans) for r in own] if setting == settings(report)[0] else moved(report, setting)
        if any(spans for _, spans in found):
            states[at(setting)] = bands(found, columns, "this model")
    return Chart("range", "range", states, {"axis": "times this model's energy"})


def moved(report: Report, setting: tuple[int, int]) -> list[Rivalry]:
    """Ratios at another setting, precisions of one rival together."""
    scenario = next(s for s in report.scenarios if (s.context, s.batch) == setting)
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for reference, spans in scenario.ratios.items():
        found.setdefault(label(report.row(reference)), {}).update(spans)
    return list(found.items())


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def quality(report: Report) -> Chart | None:
    """Bits per byte against energy: the sweep's models, and the rows of this report that were run."""
    equal, own = report.equal_quality, report.subject.name
    states = {}
    for column in (c.name for c in report.columns):
        front = equal.fronts.get(column, ())
        points: dict[str, dict[str, Any]] = {
            p.name: {
                "name": p.name,
                "kind": kind(p.name == own, p.spiking),
                "shape": f"{p.shape.n_layer} layers of width {p.shape.d}",
                "bpb": p.bits_per_byte,
                "cost": p.cost[column] * 1e6,
                "source": p.source,
                "front": p.name in front,
                "named": p.name == own or p.name in front,
            }
            for p in equal.points
            if p.cost.get(column)
        }
        for row in report.rows:
            joules = row.energy_j.get(column)
            if (
                row.name not in points
                and row.bits_per_byte is not None
                and joules
                and row.text_sha256 == report.subject.text_sha256
            ):
                points[row.name] = {
                    "name": row.name,
                    "kind": kind(row.name == own, row.effective_acs > 0),
                    "shape": f"{row.shape.n_layer} layers of width {row.shape.d}",
                    "bpb": row.bits_per_byte,
                    "cost": joules * 1e6,
                    "source": "this report",
                    "front": False,
                    "named": row.name == own,
                }
        others = [p for p in points.values() if not p["name"].startswith(own)]
        if own not in points or not others:
            continue
        verdict = next((v for v in equal.verdicts if v.row == own and v.column == column), None)
        title = (
            verdict.text
            if verdict
            else f"{own}: {points[own]['bpb']:.3f} bits per byte for {points[own]['cost']:.3g} µJ a token"
        )
        text = "; ".join(
            f"{p['name']} ({p['kind']}): {p['bpb']:.3f} bits per byte, {p['cost']:.3g} µJ" for p in points.values()
        )
        states[column] = State(
            sentence(title), text, sorted(points.values(), key=lambda p: (p["name"] == own, p["cost"]))
        )
    return Chart("quality", "quality", states) if states else None


def kind(own: bool, spiking: bool) -> str:
    return "this report's model" if own else "spiking" if spiking else "non-spiking"


def terms(report: Report) -> Chart | None:
    """Where the energy goes, for the main rows of a column."""
    own = settings(report)[0]
    states = {}
    given = {own: {r.name: r.energy_terms_j for r in report.rows}} | {
        (s.context, s.batch): s.energy_terms_j for s in report.scenarios if (s.context, s.batch) != own
    }
    main = [r for r in report.rows if r.role in ("transformer", "derived", "subject", "candidate", "int8")]
    for setting, by_row in given.items():
        for column in report.columns:
            bars = {
                r.name: grouped(by_row[r.name][column.name])
                for r in main
                if column.name in by_row.get(r.name, {}) and sum(by_row[r.name][column.name].values()) > 0
            }
            if report.subject.name in bars:
                states[at(setting, column.name)] = shares(bars, report.subject.name, report.unit)
    return Chart("terms", "terms", states) if states else None


def operations(report: Report) -> Chart | None:
    """Operations done a token by layer and part, and what is done outside the matrices."""
    rows: list[dict[str, Any]] = []
    for m in report.matrices:
        layer, _, part = m["name"].partition("_")
        rows.append(
            {
                "layer": layer,
                "part": part.replace("_", " ") or "head",
                "done": m["synops_per_token"],
                "dense": m["dense_per_token"],
            }
        )
    return work(rows, sum(report.subject.elementwise.values()), report.unit)
