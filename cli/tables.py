"""The energy report on a terminal."""

from rich.console import Console
from rich.table import Table

from hw_sim.energy.html import headline


def print_report(report: dict) -> None:
    """Counts and energies by model, then a verdict for every profile."""
    console = Console()
    console.print(headline(report))
    counts = Table(title="Operations per token")
    for name in ("model", "counts", "bits/byte", "dense", "MACs", "ACs (binary)", "element-wise"):
        counts.add_column(name, justify="left" if name in ("model", "counts") else "right")
    for row in report["rows"]:
        bits = "not measured" if row["bits_per_byte"] is None else f"{row['bits_per_byte']:.3f}"
        numbers = [f"{row[k]:,.0f}" for k in ("dense", "effective_macs", "effective_acs")]
        counts.add_row(row["name"], row["counts"], bits, *numbers, f"{sum(row['elementwise'].values()):,.0f}")
    console.print(counts)
    energy = Table(title="Energy, microjoules per token (partial: see report.html for what each profile leaves out)")
    energy.add_column("model")
    columns = list(report["rows"][0]["energy_j"])
    for name in columns:
        energy.add_column(name, justify="right")
    for row in report["rows"]:
        values = [row["energy_j"][name] for name in columns]
        energy.add_row(row["name"], *("-" if v is None else f"{v * 1e6:,.2f}" for v in values))
    console.print(energy)
    for name, verdict in report["verdicts"].items():
        console.print(f"[bold]{name}[/bold]: {verdict}", soft_wrap=True)
