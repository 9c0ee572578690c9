"""The report as Markdown."""

from hw_sim.energy import tables
from hw_sim.energy.method import METHOD
from hw_sim.energy.tables import Table


def document(report: dict) -> str:
    """Render a report dictionary (see `report.build`)."""
    model, paper = report["model"], report["paper_accounting"]
    sections = [
        f"# Energy of a {model['variant']} SpikeGPT, {model['n_layer']} layers of width {model['d']}",
        tables.headline(report),
        "\n".join(f"- **{k}**: {v}" for k, v in report["verdicts"].items()),
        "## Counts, per token\n\n" + table(tables.count_table(report)),
        "## Energy, microjoules a token\n\n" + table(tables.energy_table(report)),
        "Every total is partial: the profiles say what they leave unpriced.",
        "## Element-wise operations, per token\n\n" + table(tables.elementwise_table(report)),
        "## Bytes moved, per token\n\n" + table(tables.bytes_table(report)),
        "## Matrix inputs\n\n" + table(tables.matrix_table(report)),
        "## Footprint\n\n" + table(tables.footprint_table(report)) + "\n\n" + table(tables.memory_table(report)),
        "## Prices\n\n" + table(tables.profile_table(report)),
        f"## The paper's own accounting\n\nAt T = {paper['context']}, d = {paper['d']}, rate {paper['rate']}: "
        f"{paper['ratio']:.2f}x (grade: {paper['grade']}). Why it differs: {paper['why_it_differs']}",
        "## Method\n\n" + "\n".join(f"- **{name}.** {text}" for name, text in METHOD),
        "## Provenance\n\n" + "\n".join(f"- {k}: {v}" for k, v in report["provenance"].items()),
    ]
    return "\n\n".join(sections) + "\n"


def table(content: Table) -> str:
    """Cells as a Markdown table."""
    head, rows = content
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
