"""The main table as CSV and LaTeX, and a line to cite the report by."""

import csv
import io
from collections.abc import Iterable

from hw_sim.energy.schema import Report
from hw_sim.energy.summary import title
from hw_sim.energy.tables import Table, counts, energy

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
    return lines_of(
        ["model", "counts", *numbers, *(f"{c.name} [J]" for c in report.columns)],
        (
            [r.name, r.counts, *(getattr(r, key) for key in numbers), *(r.energy_j.get(c.name) for c in report.columns)]
            for r in report.rows
        ),
    )


def lines_of(head: list[str], rows: Iterable[list[str | float | None]]) -> str:
    """CSV: texts harmless, numbers unrounded, None empty."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(head)
    for row in rows:
        out.writerow(["" if v is None else harmless(v) if isinstance(v, str) else repr(v) for v in row])
    return text.getvalue()


def harmless(cell: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in "=+-@" else cell


def as_latex(report: Report) -> str:
    """Energy of every column and the operations, as a booktabs table."""
    table = energy(report)
    return booktabs(title(report), table if table.rows else counts(report))


def booktabs(titled: str, table: Table) -> str:
    head, rows = table.head, table.rows
    lines = [" & ".join(cell.translate(LATEX) for cell in line) + r" \\" for line in (head, *rows)]
    body = "\n".join([lines[0], r"\midrule", *lines[1:]])
    caption = f"{titled}. {table.caption}.".translate(LATEX)
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
