"""The report's main tables as plain cells, for every form that shows them: models, energy, ratios, operations."""

from typing import NamedTuple

from hw_sim.energy.schema import ALL_OPERATIONS, OPERATIONS, Report, Row
from hw_sim.energy.summary import Span, digits, label, microjoules, rivals

NONE = "-"


class Table(NamedTuple):
    """Cells under a head; the first of a line names it. `note` explains the terms of the head where they stand;
    `prose`: columns that hold words."""

    name: str
    caption: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""
    prose: tuple[int, ...] = ()


def number(value: float | None, form: str = ",.0f") -> str:
    """A number, or that there is none."""
    return NONE if value is None else format(value, form)


def columns(report: Report) -> list[str]:
    return [c.name for c in report.columns]


def spanned(span: Span | None) -> str:
    """A ratio and its range."""
    return f"{digits(span.ratio)} ({digits(span.low)} to {digits(span.high)})" if span else NONE


def plain(row: Row) -> str:
    """What a row is, in words."""
    return label(row) if label(row) != row.name else row.variant


def quality(row: Row) -> str:
    """Bits per byte, or where they would have to come from."""
    if row.bits_per_byte is not None:
        found = row.bits_per_byte_interval
        return f"{row.bits_per_byte:.3f}" + (f" ({found[0]:.3f} to {found[1]:.3f})" if found else "")
    published = row.published_bits_per_character
    return f"published {published:.3f} bits/character, enwik8" if published else "not run"


def chosen(report: Report, column: str, context: int, batch: int) -> Table:
    """What the page's switch shows: every model in one column, at one context and batch."""
    scenario = next((s for s in report.scenarios if (s.context, s.batch) == (context, batch)), None)
    own = (report.measurement["context"], report.measurement["batch"]) == (context, batch)
    spans = {c.reference: (c.ratio, c.low, c.high) for c in report.comparisons if c.column == column} if own else {}
    if scenario and not own:
        spans = {name: by[column] for name, by in scenario.ratios.items() if column in by}
    rows = []
    for r in report.rows:
        terms_j = scenario.energy_terms_j.get(r.name, {}).get(column) if scenario and not own else None
        joules = sum(terms_j.values()) if terms_j else r.energy_j.get(column) if own else None
        if joules is None:
            continue
        span = spans.get(r.name)
        rows.append(
            [
                r.name,
                microjoules(joules),
                digits(span[0]) if span else NONE,
                f"{digits(span[1])} to {digits(span[2])}" if span else NONE,
                number(r.bits_per_byte, ".3f"),
                ", ".join(r.unpriced.get(column, {})) or "nothing",
                plain(r),
            ]
        )
    return Table(
        "chosen",
        f"Energy at {column}, context {context:,}, batch {batch:,}",
        ["model", "µJ a token", "times this model", "range", "bits per byte", "without a price here", "what it is"],
        rows,
        "A model without a price in this column is not listed. Range: over the alternatives of the prices (other "
        "memory levels, DRAM prices, accumulator widths), each applied to both models alike.",
        (5, 6),
    )


def models(report: Report) -> Table:
    """What every row is."""
    rows = [
        [r.name, plain(r), f"{r.shape.n_layer} x {r.shape.d}", r.counts, quality(r), r.precision or "all"]
        for r in report.rows
    ]
    head = ["model", "what it is", "layers x width", "operations are", "bits/byte", "precision"]
    return Table("models", "The models", head, rows, prose=(1, 2, 3, 5))


def counts(report: Report) -> Table:
    head = [
        "model",
        "dense",
        "done",
        "MACs",
        "ACs (binary)",
        "graded",
        "with element-wise",
        "neuron updates",
        "spikes",
        "messages",
        "hops",
    ]
    rows = [
        [
            r.name,
            *(
                number(v)
                for v in (
                    r.dense,
                    r.synops,
                    r.effective_macs,
                    r.effective_acs,
                    r.graded,
                    r.all_operations,
                    r.neuron_updates,
                    r.spikes,
                    r.messages,
                    r.hops,
                )
            ),
        ]
        for r in report.rows
    ]
    return Table(
        "counts",
        "Operations a token",
        head,
        rows,
        "dense: operations of the matrices if no zero is skipped; done: of these, what is computed. MAC: multiply and "
        "add a real number. AC: add a weight because a spike (0 or 1, by the structure of the network) arrived. "
        "graded: multiply-adds on integer events. with element-wise: done, and the work outside the matrices. "
        "messages, hops: spikes between cores of the chip that the row lies on, by our mapping or --placement.",
    )


def energy(report: Report) -> Table:
    """A line a price column: models are to be compared along it, and never down a column of the table."""
    rows = [[c, *(microjoules(r.energy_j.get(c)) for r in report.rows)] for c in columns(report)]
    return Table(
        "energy",
        "Energy, µJ a token",
        ["prices", *(r.name for r in report.rows)],
        rows,
        "Compare along a line; never divide one technology's line by another's. Every total is partial: see what meets "
        "no price, below.",
    )


def ratios(report: Report) -> Table:
    """How many times the subject's energy each rival takes; operations first, which need no price."""
    found = rivals(report)
    rows = [[c, *(spanned(r.spans.get(c)) for r in found)] for c in columns(report)]
    return Table(
        "ratios",
        f"How many times the energy of {report.subject.name} the others take",
        ["prices", *(r.label for r in found)],
        rows if found else [],
        "In brackets the range over the alternatives of the prices. Above 1 spikes save energy, below 1 they cost.",
    )


def operations(report: Report) -> Table:
    """The ratios that need no price."""
    kinds = {OPERATIONS: "of the matrices", ALL_OPERATIONS: "with element-wise"}
    found = {k: text for k, text in kinds.items() if any(k in by for by in report.ratios.values())}
    rows = [[name, *(digits(by[k]) if k in by else NONE for k in found)] for name, by in report.ratios.items()]
    return Table(
        "operations",
        f"How many times the operations of {report.subject.name} the others do",
        ["model", *found.values()],
        rows,
    )
