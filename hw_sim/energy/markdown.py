"""The report as Markdown, with the pictures of the page in its first state beside it."""

from hw_sim.energy import cite, detail_tables, summary
from hw_sim.energy.method import METHOD
from hw_sim.energy.page import draw
from hw_sim.energy.page.charts import charts, settings, state_of
from hw_sim.energy.page.state import NAMES
from hw_sim.energy.schema import Report
from hw_sim.energy.tables import Table
from spikegpt.escape import markdown as escaped

PICTURES = "report-charts"  # the folder of the pictures, beside report.md
FILES = ("report.md", *(f"{PICTURES}/{name}.svg" for name in NAMES))


def document(report: Report) -> dict[str, str]:
    """The files of a report by name: report.md and the SVG pictures that it shows."""
    first = summary.shown_first(report)
    column = first.name if first else ""
    setting = settings(report)[0]
    shown = [(c, s) for c in charts(report) if (s := state_of(c, column, setting))]
    pictures = {f"{PICTURES}/{c.name}.svg": draw.standing_alone(draw.svg(c, s, column)) for c, s in shown}
    images = [f"### {escaped(s.title)}\n\n![{escaped(s.text)}]({PICTURES}/{c.name}.svg)" for c, s in shown]
    ratios_first = 1 if shown and shown[0][0].name == "range" else 0
    sections = [
        f"# {escaped(summary.title(report))}",
        f"**{escaped(summary.verdict(report))}** (modelled)",
        *images[:ratios_first],
        escaped(summary.quality(report)),
        escaped(summary.basis(report)),
        "## Findings",
        "\n".join(
            f"- {'Spikes lose: ' if f.loses else ''}{escaped(f.text)} ({f.grade})" for f in summary.general(report)
        ),
        "\n".join(f"- **{escaped(k)}**: {escaped(v)}" for k, v in report.verdicts.items()),
        *images[ratios_first:],
        "## Tables",
        *(table(t) for t in detail_tables.tables(report)),
        "## The paper's own accounting\n\n" + escaped(summary.paper(report)),
        "## Method\n\n" + "\n".join(f"- **{name}.** {escaped(text)}" for name, text in METHOD),
        "## Provenance\n\n" + "\n".join(f"- {escaped(k)}: {escaped(v)}" for k, v in report.provenance.items()),
        "## Cite\n\n" + escaped(cite.citation(report)),
    ]
    return {"report.md": "\n\n".join(s for s in sections if s) + "\n", **pictures}


def table(content: Table) -> str:
    """Cells as a Markdown table under its caption; numbers to the right."""
    rule = ["---" if i == 0 or i in content.prose else "---:" for i in range(len(content.head))]
    lines = [list(map(escaped, content.head)), rule, *(list(map(escaped, row)) for row in content.rows)]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join([f"### {escaped(content.caption)}", *([escaped(content.note)] if content.note else []), body])
