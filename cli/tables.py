"""The energy report on a terminal: models as columns, so that it fits 80 characters."""

from rich.console import Console
from rich.table import Table

from hw_sim.energy.html import headline

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
    rows = [row for row in report["rows"] if not row["name"].endswith("-int8")]
    counts = _table("Per token", rows)
    bits = ["not measured" if r["bits_per_byte"] is None else f"{r['bits_per_byte']:.3f}" for r in rows]
    counts.add_row("bits per byte", *bits)
    for key, label in COUNTS.items():
        counts.add_row(label, *("unknown" if r[key] is None else f"{r[key]:,.0f}" for r in rows))
    counts.add_row("element-wise", *(f"{sum(r['elementwise'].values()):,.0f}" for r in rows))
    counts.add_row("counts are", *("measured" if r["counts"] == "measured" else "from shapes" for r in rows))
    console.print(counts)
    energy = _table("Microjoules per token; every profile leaves terms out, see report.html", rows)
    by_name = {r["name"]: r for r in report["rows"]}
    for column in rows[0]["energy_j"]:
        int8 = column.endswith("-int8")
        priced = [by_name["gpt-int8"] if int8 and r["name"] == "gpt-fp32" else r for r in rows]
        values = [r["energy_j"][column] for r in priced]
        energy.add_row(column, *("-" if v is None else f"{v * 1e6:,.2f}" for v in values))
    console.print(energy)
    for name, verdict in report["verdicts"].items():
        console.print(f"[bold]{name}[/bold]: {verdict}", soft_wrap=True)


def _table(title: str, rows: list[dict]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for row in rows:
        name = "gpt" if row["name"] == "gpt-fp32" else row["name"]
        table.add_column(name, justify="right")
    return table
