"""The energy report on a terminal, 80 characters wide and no name cut: models down, one table a profile."""

import sys
from collections.abc import Iterator, Mapping, Sequence

import click
from rich import box
from rich.console import Console
from rich.table import Table

from cli import layout
from hw_sim.energy import for_scale, several_reports, summary, tables
from hw_sim.energy.gate import Verdict
from hw_sim.energy.gate_forms import HEAD, cells, sentence
from hw_sim.energy.schema import Column, Report, Row
from spikegpt.escape import printable
from spikegpt.escape import rich as escape

ACROSS = 2  # reports beside each other
NAME = 34  # characters of a name that are kept on one line


def print_report(report: Report) -> None:
    """The verdict, quality, counts, energies and ratios, then a paragraph for every price column."""
    console = Console()
    for line in (f"{summary.verdict(report)} (modelled)", summary.quality(report), summary.basis(report)):
        console.print(printable(line), markup=False, highlight=False)
    for finding in summary.general(report):
        text = f"{'-' if finding.loses else '+'} {finding.text} ({finding.grade})"
        console.print(printable(text), markup=False)
    console.print(counts(report.rows))
    for profile in dict.fromkeys(column.profile for column in report.columns):
        columns = [column for column in report.columns if column.profile == profile]
        for table in (*energies(report, columns), *ratios(report, columns)):
            console.print(table)
    for content in (for_scale.compressors(report), for_scale.host(report)):
        if content.rows:
            console.print(folded(content))
            console.print(printable(content.note), markup=False)
    for name, verdict in report.verdicts.items():
        console.print(printable(f"{name}: {verdict}"), markup=False)


def print_beside(reports: Mapping[str, Report]) -> None:
    """Several reports, a line a measure; more than fit beside each other stand below."""
    console = Console()
    for line in several_reports.differences(reports):
        console.print(printable(line), markup=False)
    names, column = list(reports), several_reports.shared_column(reports)
    for some in (names[i : i + ACROSS] for i in range(0, len(names), ACROSS)):
        console.print(folded(several_reports.table({name: reports[name] for name in some}, column)))


def print_gate(verdict: Verdict) -> None:
    """What the gate compared, on standard error: standard output may be a report as JSON."""
    console = Console(stderr=True)
    rows = cells(verdict)
    for name in dict.fromkeys(row[0] for row in rows):
        table = Table(*HEAD[1:], title=escape(f"{name}, against the baseline"), title_justify="left")
        for row in rows:
            if row[0] == name:
                table.add_row(*map(escape, row[1:]))
        console.print(table)
    click.echo(layout.folded(printable(sentence(verdict)), sys.stderr), err=True)


def folded(content: tables.Table) -> Table:
    """Cells of words, which may break."""
    found = lined(content.caption, [], *content.head[1:])
    for i in content.prose:
        found.columns[i].justify = "left"
    for row in content.rows:
        found.add_row(*map(escape, row))
    return found


def counts(rows: Sequence[Row]) -> Table:
    names = [r.name for r in rows]
    found = lined("Operations a token", names, "of the\nmatrices", "binary", "element-\nwise", "bits/\nbyte", "grade")
    for r in rows:
        figures = (r.synops, r.effective_acs, sum(r.elementwise.values()))
        cells = (*map(tables.number, figures), tables.number(r.bits_per_byte, ".3f"), r.grades.get("synops", ""))
        found.add_row(escape(r.name), *cells)
    return found


def energies(report: Report, columns: Sequence[Column]) -> Iterator[Table]:
    """One profile: models down, precisions across."""
    rows = [r for r in report.rows if any(r.energy_j.get(c.name) is not None for c in columns)]
    if rows:
        grade = report.profiles[columns[0].profile]["grade"]
        title = f"{columns[0].profile} ({grade} prices): µJ a token, modelled"
        found = lined(title, [r.name for r in rows], *(c.precision for c in columns))
        for r in rows:
            found.add_row(escape(r.name), *(summary.microjoules(r.energy_j.get(c.name)) for c in columns))
        yield found


def ratios(report: Report, columns: Sequence[Column]) -> Iterator[Table]:
    """Every rival's energy over the subject's, with its range."""
    rivals = [r for r in summary.rivals(report) if any(c.name in r.spans for c in columns)]
    if rivals:
        title = f"{columns[0].profile}: times the energy of {report.subject.name} (range); above 1 spikes save"
        found = lined(title, [], *(c.precision for c in columns))
        for rival in rivals:
            found.add_row(escape(rival.label), *(tables.spanned(rival.spans.get(c.name)) for c in columns))
        yield found


def lined(title: str, names: Sequence[str], *heads: str) -> Table:
    """`names` that the first column keeps on one line; figures are never broken."""
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold", min_width=min(NAME, max(map(len, names), default=0)))
    for head in heads:
        lines = "\n".join(map(escape, head.split("\n")))
        table.add_column(lines, justify="right", overflow="fold", no_wrap=bool(names) and len(head) < NAME)
    return table
