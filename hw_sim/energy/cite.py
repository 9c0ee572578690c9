"""The main table as CSV and LaTeX, and a line to cite the report by."""

import csv
import io

from hw_sim.energy.schema import Report
from hw_sim.energy.summary import title
from hw_sim.energy.tables import counts, energy

LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "µ": r"\textmu{}",
    }
)


def as_csv(report: Report) -> str:
    """Counts a token and joules a token of every model, unrounded; empty where there is no price."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    numbers = (
        "bits_per_byte",
        "dense",
        "synops",
        "effective_macs",
        "effective_acs",
        "graded",
        "all_operations",
        "spikes",
    )
    out.writerow(["model", "counts", *numbers, *(f"{c.name} [J]" for c in report.columns)])
    for r in report.rows:
        values = [*(getattr(r, key) for key in numbers), *(r.energy_j.get(c.name) for c in report.columns)]
        out.writerow([harmless(r.name), r.counts, *("" if v is None else repr(v) for v in values)])
    return text.getvalue()


def harmless(cell: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in "=+-@" else cell


def as_latex(report: Report) -> str:
    """Energy of every column and the operations, as a booktabs table."""
    table = energy(report)
    head, rows = table.head, table.rows
    if not rows:
        table = counts(report)
        head, rows = table.head, table.rows
    lines = [" & ".join(cell.translate(LATEX) for cell in line) + r" \\" for line in (head, *rows)]
    body = "\n".join([lines[0], r"\midrule", *lines[1:]])
    caption = f"{title(report)}. {table.caption}.".translate(LATEX)
    return (
        f"\\begin{{table}}\n\\caption{{{caption}}}\n\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}\n\\toprule\n{body}\n"
        "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def citation(report: Report) -> str:
    """One line: what was counted, on what, by which version."""
    p, own = report.provenance, report.subject
    parts = [
        f"{title(report)}. Energy report (schema {report.schema}), SpikeGPT toolchain {p.get('spikegpt', '')}".rstrip(),
        f"model {own.file or own.name}",
        *([f"text {p['text']}, sha256 {str(own.text_sha256)[:16]}"] if own.text_sha256 and "text" in p else []),
        f"context {report.measurement['context']}, batch {report.measurement['batch']}",
    ]
    return "; ".join(parts) + "."
