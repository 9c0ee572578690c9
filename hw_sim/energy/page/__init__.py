"""The report as one HTML page that needs no network: the finding first, pictures that follow a switch, tables folded.

page.html, page.css and page.js are the page, specs/ its pictures as Vega-Lite. vl-convert draws them and compiles them
for the switch, whose runtime is the published file vega.min.js of the npm package vega, unchanged (BSD-3-Clause); it is
kept here as no package of Python ships it and bundling it with every report takes seconds.
"""

import base64
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from msgspec.structs import replace

from hw_sim.energy import cite, several_reports, summary
from hw_sim.energy.detail_tables import tables
from hw_sim.energy.method import METHOD
from hw_sim.energy.page import draw
from hw_sim.energy.page.charts import charts, settings, state_of
from hw_sim.energy.page.state import Chart, State
from hw_sim.energy.schema import Column, Report
from hw_sim.energy.tables import chosen
from spikegpt.escape import printable

HEAVY = ("rates", "raster")  # pictures that a page of several reports has only where a script draws them
VEGA = "vega-6.2.0"  # the version of the Vega that vl-convert compiles for
LINKS = re.compile(r"(?P<arxiv>arXiv:? ?(?P<number>\d{4}\.\d{4,5}))|(?P<doi>doi:? ?(?P<at>10\.\d{4,9}/[^\s;,)]+))")


def page(reports: Mapping[str, Report]) -> str:
    """One report, or several beside each other, by the name that each is shown under."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"linked": linked, "data_uri": data_uri}
    reports = {printable(name): legible(report) for name, report in reports.items()}
    first = next(iter(reports.values()))
    drawn = {name: charts(report) for name, report in reports.items()}
    column = several_reports.shared_column(reports)
    return environment.from_string(_file("page.html")).render(
        title=summary.title(first) if len(reports) == 1 else f"{len(reports)} energy reports beside each other",
        reports=[
            article(name, report, drawn[name], column, f"r{i}-" if i else "", not column or len(reports) == 1)
            for i, (name, report) in enumerate(reports.items())
        ],
        columns=several_reports.columns(reports),
        differences=several_reports.differences(reports),
        beside=several_reports.table(reports, column),
        method=METHOD,
        css=_raw("page.css"),
        js=_raw("page.js"),
        vega=_markup(f"/* {_file(VEGA + '.LICENSE')} */\n{_file(VEGA + '.min.js')}") if column else "",
        data=_json(switch(reports, drawn, column)),
    )


def article(
    name: str, report: Report, drawn: list[Chart], column: Column | None, prefix: str, still: bool
) -> dict[str, Any]:
    """What the template says of one report, in the first state of the switch; not `still`: without HEAVY pictures."""
    own = column if column in several_reports.columns({"": report}) else summary.shown_first(report)
    at = own.name if own else ""
    setting = settings(report)[0]
    command = report.provenance.get("command")
    return {
        "id": prefix,
        "name": name,
        "title": summary.title(report),
        "verdict": summary.verdict(report),
        "quality": summary.quality(report),
        "basis": summary.basis(report),
        "column": at,
        "grade": report.profiles[own.profile]["grade"] if own else "",
        "verdicts": list(report.verdicts.items()),
        "findings": [replace(f, text=f.text.removeprefix(f"{f.column}: ")) for f in report.findings],
        "chosen": chosen(report, at, *setting) if own else None,
        "charts": [
            {
                "name": c.name,
                "state": state,
                "svg": _markup(draw.svg(c, state, at) if still or c.name not in HEAVY else ""),
            }
            for c in drawn
            if (state := state_of(c, at, setting))
        ],
        "tables": tables(report),
        "paper": summary.paper(report),
        "command": command,
        "provenance": [(k, v) for k, v in report.provenance.items() if k != "command"],
        "citation": cite.citation(report),
        "csv": cite.as_csv(report),
        "latex": cite.as_latex(report),
    }


def switch(reports: Mapping[str, Report], drawn: Mapping[str, list[Chart]], column: Column | None) -> dict[str, Any]:
    """All that page.js shows in another state."""
    choices: dict[str, list[str]] = {}
    for c in several_reports.columns(reports):
        choices.setdefault(c.profile, []).append(c.precision)
    offered = list(dict.fromkeys(s for r in reports.values() for s in settings(r)))
    return {
        "first": column.name if column else "",
        "choices": choices,
        "context": {"own": offered[0][0], "offered": sorted({t for t, _ in offered})},
        "batch": {"own": offered[0][1], "offered": sorted({b for _, b in offered})},
        "specs": {c.name: draw.vega(c) for c in {c.name: c for cs in drawn.values() for c in cs}.values()}
        if column
        else {},
        "reports": [
            {
                "grades": {c.name: report.profiles[c.profile]["grade"] for c in report.columns},
                "charts": {c.name: {"states": {key: compact(s) for key, s in c.states.items()}} for c in drawn[name]},
                "chosen": {
                    f"{c.name}@{t}@{b}": {"caption": made.caption, "rows": made.rows, "prose": made.prose}
                    for c in several_reports.columns({"": report})
                    for t, b in settings(report)
                    if (made := chosen(report, c.name, t, b))
                },
            }
            for name, report in reports.items()
        ],
    }


def compact(state: State) -> dict[str, Any]:
    """Rows as lists: names of fields once."""
    fields = list(dict.fromkeys(key for row in state.rows for key in row))
    rows = [[_short(row.get(key)) for key in fields] for row in state.rows]
    return {"title": state.title, "text": state.text, "fields": fields, "rows": rows, "terms": state.terms}


def _short(value: Any) -> Any:
    """Six digits are more than a picture shows."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def legible(report: Report) -> Report:
    """A report whose texts hold nothing that a browser would obey: controls and bidirectional marks are escapes."""

    def shown(value: Any) -> Any:
        if isinstance(value, str):
            return printable(value)
        if isinstance(value, dict):
            return {shown(key): shown(item) for key, item in value.items()}
        return [shown(item) for item in value] if isinstance(value, list | tuple) else value

    return msgspec.convert(shown(msgspec.to_builtins(report)), Report)


def linked(text: str) -> str:
    """Papers named by arXiv number or DOI as links; the rest escaped."""
    from markupsafe import Markup, escape

    parts, end = [], 0
    for m in LINKS.finditer(text):
        at = f"https://arxiv.org/abs/{m['number']}" if m["arxiv"] else f"https://doi.org/{m['at']}"
        parts += [escape(text[end : m.start()]), Markup('<a href="{}">{}</a>').format(at, m[0])]
        end = m.end()
    return Markup("").join([*parts, escape(text[end:])])


def data_uri(text: str, kind: str) -> str:
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"


def _json(value: Any) -> Any:
    """JSON that is safe inside a script element."""
    return _markup(
        json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    )


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


@cache
def _file(name: str) -> str:
    return resources.files("hw_sim.energy.page").joinpath(name).read_text(encoding="utf-8")


def _raw(name: str) -> Any:
    return _markup(_file(name))
