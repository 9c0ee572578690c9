"""The energy report on a terminal: models as columns, so that it fits 80 characters."""

from rich.console import Console
from rich.table import Table

from hw_sim.energy.gate import Verdict
from hw_sim.energy.gate_forms import HEAD, cells, sentence
from hw_sim.energy.schema import Report, Row
from hw_sim.energy.tables import compressor_table, headline, host_table, microjoules, number, quality

COUNTS = {
    "dense": "dense operations",
    "effective_macs": "MACs done",
    "effective_acs": "binary ACs done",
    "neuron_updates": "neuron updates",
    "spikes": "spikes",
}
ANOTHERS = ("gpt-fp16", "gpt-int8")  # rows shown in the column of gpt-fp32, at their own precision


def print_report(report: Report) -> None:
    """Counts and energies by model, then a verdict for every profile."""
    console = Console()
    console.print(headline(report), markup=False)
    rows = [r for r in report.rows if r.role not in ("int8", "analytic") and r.name not in ANOTHERS]
    counts = _table("Per token", rows)
    counts.add_row("bits per byte, measured", *map(quality, rows))
    for key, label in COUNTS.items():
        counts.add_row(label, *(number(getattr(r, key)) for r in rows))
    counts.add_row("element-wise", *(f"{sum(r.elementwise.values()):,.0f}" for r in rows))
    counts.add_row("counts are", *(r.counts for r in rows))
    console.print(counts)
    energy = _table("Microjoules per token, modelled: counts times the prices of a profile", rows)
    for column in report.columns:
        gpt = f"gpt-{column.precision}"
        priced = [report.row(gpt) if r.name == "gpt-fp32" and gpt in ANOTHERS else r for r in rows]
        placed = {c.column: c for c in report.chips}.get(column.name)
        if placed:  # a chip holds the int8 form of the subject
            priced = [report.row(placed.row) if r.role == "subject" else r for r in priced]
        energy.add_row(column.name, *(microjoules(r.energy_j[column.name]) for r in priced))
    console.print(energy)
    analytic = [r for r in report.rows if r.role == "analytic"]
    if analytic:
        others = Table("system", "operations", "quality", title="Analytic rows", title_justify="left")
        for row in analytic:
            others.add_row(row.name, number(row.synops), quality(row))
        console.print(others)
    for title, content in (
        ("Compressors on the same text, for scale", compressor_table(report)),
        ("This machine, measured", host_table(report)),
    ):
        if content[1]:
            shown = Table(*content[0], title=title, title_justify="left")
            for cells_ in content[1]:
                shown.add_row(*cells_)
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


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for row in rows:
        name = "gpt" if row.name == "gpt-fp32" else row.name
        table.add_column(name, justify="right", overflow="fold")
    return table
