"""The report's pictures as data: what each shows in every state of the switch, with a title that says the finding.

The specification of a picture is a Vega-Lite file in specs/; its rows come from here. A state is keyed by what it
depends on: "column@context@batch", "@context@batch", "column", or "" where it follows nothing.
"""

from typing import Any

from hw_sim.energy.page.chip import chip
from hw_sim.energy.page.curves import curves
from hw_sim.energy.page.neurons import raster, rates
from hw_sim.energy.page.state import Chart, State
from hw_sim.energy.schema import Report
from hw_sim.energy.summary import digits, label, listed, microjoules, rivals, times

GROUPS = {  # term of the prices -> the part of a bar that it belongs to
    "accumulates": "arithmetic",
    "multiply-accumulates": "arithmetic",
    "ternary additions": "arithmetic",
    "neuron updates": "neuron updates and spikes",
    "spikes": "neuron updates and spikes",
    "messages": "messages and hops",
    "hops": "messages and hops",
    "memory": "memory and addressing",
    "addressing": "memory and addressing",
}
ORDER = (
    "arithmetic",
    "weight reads",
    "accumulator traffic",
    "element-wise",
    "state",
    "activations",
    "KV cache",
    "constants",
    "embedding",
    "neuron updates and spikes",
    "messages and hops",
    "memory and addressing",
)


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


def wrapped(text: str, width: int = 24) -> str:
    """Lines of at most `width` characters, for the label of an axis."""
    lines = [""]
    for word in text.split():
        lines[-1:] = [f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < width else [lines[-1], word]
    return "\n".join(lines)


def ratios(report: Report) -> Chart | None:
    """One band a rival, all columns."""
    columns = {c.name: c for c in report.columns}
    own = rivals(report)
    if not own:
        return None
    states = {}
    for setting in settings(report):
        rows: list[dict[str, Any]] = []
        found = [(r.label, r.spans) for r in own] if setting == settings(report)[0] else moved(report, setting)
        for name, spans in found:
            rows += [
                {
                    "rival": wrapped(name),
                    "column": column,
                    "profile": columns[column].profile,
                    "precision": columns[column].precision,
                    "ratio": s[0],
                    "low": s[1],
                    "high": s[2],
                }
                for column, s in spans.items()
            ]
        if not rows:
            continue
        title = tally([[s[0] for s in spans.values()] for _, spans in found])
        text = "; ".join(
            f"{name}: "
            + ", ".join(f"{c} {times(s[0])} (from {digits(s[1])} to {digits(s[2])})" for c, s in spans.items())
            for name, spans in found
        )
        states[at(setting)] = State(title, text, rows)
    return Chart("range", "range", states)


def tally(ratios_of: list[list[float]]) -> str:
    """How many rivals cost more, and how many less, whatever the prices."""
    more, less = (sum(all(keep(x) for x in xs) for xs in ratios_of) for keep in (lambda x: x > 1, lambda x: x < 1))
    rest = len(ratios_of) - more - less
    said = [
        f"{n} cost{'s' * (n == 1)} {how}"
        for n, how in (
            (more, "more than this model at all prices"),
            (less, "less at all prices"),
            (rest, "more or less, by the prices"),
        )
        if n
    ]
    return (
        f"Of {len(ratios_of)} rivals, {listed(said)}"
        if len(ratios_of) > 1
        else f"The rival {said[0].partition(' ')[2]}"
    )


def moved(report: Report, setting: tuple[int, int]) -> list[tuple[str, dict[str, tuple[float, float, float]]]]:
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


def grouped(terms_j: dict[str, float]) -> dict[str, float]:
    """Terms of the prices as the parts of a bar."""
    found: dict[str, float] = {}
    for term, joules in terms_j.items():
        part = GROUPS.get(term, term)
        found[part] = found.get(part, 0.0) + joules
    return dict(sorted(found.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


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
            if report.subject.name not in bars:
                continue
            rows = [
                {
                    "model": f"{wrapped(name)}\n{microjoules(sum(parts.values()))} µJ",
                    "term": part,
                    "uj": joules * 1e6,
                    "order": i,
                }
                for name, parts in bars.items()
                for i, (part, joules) in enumerate(parts.items())
                if joules > 0
            ]
            mine = bars[report.subject.name]
            first = max(mine, key=lambda part: mine[part])
            title = f"{mine[first] / sum(mine.values()):.0%} of the energy of {report.subject.name} is {spoken(first)}"
            text = "; ".join(
                f"{name}, {microjoules(sum(parts.values()))} µJ a token: "
                + ", ".join(f"{part} {joules / sum(parts.values()):.0%}" for part, joules in parts.items())
                for name, parts in bars.items()
            )
            states[at(setting, column.name)] = State(title, text, rows)
    return Chart("terms", "terms", states) if states else None


def spoken(part: str) -> str:
    return {"weight reads": "reading weights", "element-wise": "element-wise work", "state": "keeping state"}.get(
        part, part
    )


def operations(report: Report) -> Chart | None:
    """Operations done a token by layer and part, and what is done outside the matrices."""
    rows = []
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
    done, dense = sum(r["done"] for r in rows), sum(r["dense"] for r in rows)
    if not dense:
        return None
    outside = sum(report.subject.elementwise.values())
    rows += [{"layer": "outside matrices", "part": "element-wise", "done": outside, "dense": outside}] * bool(outside)
    layers: dict[str, float] = {}
    for r in rows:
        layers[r["layer"]] = layers.get(r["layer"], 0.0) + r["done"]
    most = max(layers, key=lambda name: layers[name])
    title = (
        f"{done / dense:.1%} of the matrices' dense operations are done; {most} does most, {layers[most]:,.0f} a token"
    )
    text = "; ".join(f"{name}: {value:,.0f} operations a token" for name, value in layers.items())
    return Chart("operations", "operations", {"": State(title, text, rows)})
