"""The energy report on a terminal, 80 characters wide: models down, one table a profile."""

from rich.console import Console
from rich.table import Table

from hw_sim.energy.gate import Verdict
from hw_sim.energy.gate_forms import HEAD, cells, sentence
from hw_sim.energy.schema import Report, Row
from hw_sim.energy.tables import compressor_table, headline, host_table, microjoules, number, quality


def print_report(report: Report) -> None:
    """The verdict, counts by model, energies by profile, then a paragraph for every price column."""
    console = Console()
    console.print(headline(report), markup=False)
    rows = [row for row in report.rows if row.role != "analytic"]
    counts = _table("Per token; bits per byte are measured", "bits/byte", "matrices", "binary", "elementwise", "grade")
    for r in rows:
        elementwise = sum(r.elementwise.values())
        figures = map(number, (r.synops, r.effective_acs, elementwise))
        counts.add_row(r.name, number(r.bits_per_byte, ".3f"), *figures, r.grades["synops"])
    console.print(counts)
    for profile in dict.fromkeys(column.profile for column in report.columns):
        _print_energies(console, report, profile, rows)
    analytic = [r for r in report.rows if r.role == "analytic"]
    if analytic:
        others = _table("Analytic rows", "matrix operations", "quality")
        for row in analytic:
            others.add_row(row.name, number(row.synops), quality(row))
        console.print(others)
    for title, (head, lines) in (
        ("Compressors on the same text, for scale", compressor_table(report)),
        ("This machine, measured", host_table(report)),
    ):
        if lines:
            shown = Table(*head, title=title, title_justify="left")
            for line in lines:
                shown.add_row(*line)
            console.print(shown)
    if report.host:
        console.print(report.host.what, markup=False, soft_wrap=True)
    for name, verdict in report.verdicts.items():
        console.print(f"{name}: {verdict}", soft_wrap=True, markup=False)
    if not report.equal_quality.available:
        console.print(f"At equal quality: {report.equal_quality.reason}.", markup=False)


def print_gate(verdict: Verdict) -> None:
    """What the gate compared, on standard error: standard output may be a report as JSON."""
    console = Console(stderr=True)
    rows = cells(verdict)
    for name in dict.fromkeys(row[0] for row in rows):
        table = Table(*HEAD[1:], title=f"{name}, against the baseline", title_justify="left")
        for row in rows:
            if row[0] == name:
                table.add_row(*row[1:])
        console.print(table)
    console.print(sentence(verdict), soft_wrap=True, markup=False)


def _print_energies(console: Console, report: Report, profile: str, rows: list[Row]) -> None:
    """One profile: models down, precisions across."""
    columns = [column for column in report.columns if column.profile == profile]
    title = f"{profile} ({report.profiles[profile]['grade']}): microjoules a token, modelled"
    table = _table(title, *(column.precision for column in columns))
    for row in rows:
        energies = [row.energy_j[column.name] for column in columns]
        if any(energy is not None for energy in energies):
            table.add_row(row.name, *map(microjoules, energies))
    console.print(table)


def _table(title: str, *heads: str) -> Table:
    table = Table("", title=title, title_justify="left")
    for head in heads:
        table.add_column(head, justify="right")
    return table
