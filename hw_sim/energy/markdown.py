"""The report as Markdown."""

from hw_sim.energy import tables
from hw_sim.energy.method import METHOD
from hw_sim.energy.schema import Report
from hw_sim.energy.tables import Table
from spikegpt.escape import markdown as escaped


def document(report: Report) -> str:
    """Render a report."""
    model, paper, quality = report.model, report.paper_accounting, report.equal_quality
    sections = [
        f"# Energy of a {model['variant']} SpikeGPT, {model['n_layer']} layers of width {model['d']}",
        escaped(tables.headline(report)),
        "## Verdicts, by prices (modelled)\n\n"
        + "\n".join(f"- **{escaped(k)}**: {escaped(v)}" for k, v in report.verdicts.items()),
        "## Counts, per token\n\n" + table(tables.count_table(report)),
        "## Assumptions of rows\n\n" + table(tables.assumption_table(report)),
        "## At equal quality\n\n"
        + (table(tables.equal_quality_table(report)) if quality.available else escaped(quality.reason) + "."),
        "## Energy, microjoules a token (modelled)\n\n" + table(tables.energy_table(report)),
        "## Ratios, with their range (modelled)\n\n" + table(tables.ratio_table(report)),
        "## What the totals leave out\n\n" + table(tables.unpriced_table(report)),
        "## Element-wise operations, per token\n\n" + table(tables.elementwise_table(report)),
        "## Bytes moved, per token\n\n" + table(tables.bytes_table(report)),
        "## Matrix inputs\n\n" + table(tables.matrix_table(report)),
        "## Footprint\n\n" + table(tables.footprint_table(report)) + "\n\n" + table(tables.memory_table(report)),
        "## Chips, microjoules a token (modelled)\n\n" + table(tables.chip_table(report)),
        *(
            [f"## This machine (measured)\n\n{escaped(report.host.what)}.\n\n" + table(tables.host_table(report))]
            if report.host
            else []
        ),
        *(
            ["## Compressors on the same text, for scale\n\n" + table(tables.compressor_table(report))]
            if report.compressors
            else []
        ),
        "## Published figures of other systems (context, not to be divided by)\n\n"
        + table(tables.system_table(report)),
        "## Prices\n\n" + table(tables.profile_table(report)),
        f"## The paper's own accounting (assumed)\n\nAt T = {paper['context']}, d = {paper['d']}, rate {paper['rate']}"
        f": {paper['ratio']:.2f}x (grade: {paper['grade']}). Why it differs: {paper['why_it_differs']}",
        "## Method\n\n" + "\n".join(f"- **{name}.** {text}" for name, text in METHOD),
        "## Provenance\n\n" + "\n".join(f"- {escaped(k)}: {escaped(str(v))}" for k, v in report.provenance.items()),
    ]
    return "\n\n".join(sections) + "\n"


def table(content: Table) -> str:
    """Cells as a Markdown table."""
    head, rows = content
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(escaped, line)) + " |" for line in lines)
