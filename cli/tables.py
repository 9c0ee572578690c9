"""The energy report on a terminal: models as columns, so that it fits 80 characters."""

from rich.console import Console
from rich.table import Table

from hw_sim.energy.tables import headline, microjoules, number, quality

COUNTS = {
    "dense": "dense operations",
    "effective_macs": "MACs done",
    "effective_acs": "binary ACs done",
    "neuron_updates": "neuron updates",
    "spikes": "spikes",
}


def print_report(report: dict) -> None:
    """Counts and energies by model, then a verdict for every profile."""
    console = Console()
    console.print(headline(report))
    rows = [row for row in report["rows"] if not row["name"].endswith("-int8") and "formula" not in row]
    counts = _table("Per token", rows)
    counts.add_row("bits per byte", *map(quality, rows))
    for key, label in COUNTS.items():
        counts.add_row(label, *(number(r[key]) for r in rows))
    counts.add_row("element-wise", *(f"{sum(r['elementwise'].values()):,.0f}" for r in rows))
    counts.add_row("counts are", *("measured" if r["counts"] == "measured" else "from shapes" for r in rows))
    console.print(counts)
    energy = _table("Microjoules per token; every profile leaves terms out, see report.html", rows)
    by_name = {r["name"]: r for r in report["rows"]}
    for column in rows[0]["energy_j"]:
        int8 = column.endswith("-int8")
        priced = [by_name["gpt-int8"] if int8 and r["name"] == "gpt-fp32" else r for r in rows]
        energy.add_row(column, *(microjoules(r["energy_j"][column]) for r in priced))
    console.print(energy)
    analytic = [row for row in report["rows"] if "formula" in row]
    if analytic:
        others = Table("system", "operations", "quality", title="Analytic rows", title_justify="left")
        for row in analytic:
            others.add_row(row["name"], number(row["synops"]), quality(row))
        console.print(others)
    for name, verdict in report["verdicts"].items():
        console.print(f"[bold]{name}[/bold]: {verdict}", soft_wrap=True)


def _table(title: str, rows: list[dict]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for row in rows:
        name = "gpt" if row["name"] == "gpt-fp32" else row["name"]
        table.add_column(name, justify="right")
    return table
