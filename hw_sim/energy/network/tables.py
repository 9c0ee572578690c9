"""The tables of a network's report as plain cells, for every form that shows them."""

from hw_sim.energy import chip_tables
from hw_sim.energy.detail_tables import populations, prices
from hw_sim.energy.network.report import INT8, NETWORK, NetworkReport, NetworkRow
from hw_sim.energy.network.words import LABELS
from hw_sim.energy.summary import Span, digits, microjoules
from hw_sim.energy.tables import NONE, Table, spanned

WHAT = {NETWORK: "as it was run", INT8: "its integer plan, as a chip runs it"} | {
    name: label.rstrip(",") for name, label in LABELS.items()
}
KINDS = {
    "dense": "dense",
    "accumulates": "accumulates",
    "graded": "graded",
    "macs": "MACs",
    "elementwise": "element-wise",
    "updates": "neuron updates",
    "spikes": "spikes",
}


def tables(report: NetworkReport) -> list[Table]:
    """All that hold something, in the order of a reader's questions."""
    found = [
        operations(report),
        energy(report),
        ratios(report),
        matrices(report),
        terms(report),
        unpriced(report),
        populations(report),
        chip_tables.chips(report),
        chip_tables.chip_time(report),
        chip_tables.left_out(report),
        chip_tables.footprint(report),
        prices(report),
    ]
    return [table for table in found if table.rows]


def operations(report: NetworkReport) -> Table:
    rows = [[r.name, WHAT[r.name], r.counts, *(amount(getattr(r, kind)) for kind in KINDS)] for r in report.rows]
    return Table("operations", "Operations a step", ["row", "what it is", "counts are", *KINDS.values()], rows,
                 "dense: operations of the matrices if no zero is skipped; accumulates, graded and MACs: what is done "
                 "of them, on spikes, on sums of spikes, on anything else.", (1, 2))  # fmt: skip


def energy(report: NetworkReport) -> Table:
    rows = [[c.name, *(joules(r, c.name) for r in report.rows)] for c in report.columns]
    return Table("energy", "Energy, µJ a step (modelled)", ["prices", *(r.name for r in report.rows)], rows,
                 "Compare along a line; never divide one technology's line by another's.")  # fmt: skip


def ratios(report: NetworkReport) -> Table:
    rows = [
        [c.name, *(spanned(Span(*by[c.name])) if c.name in by else NONE for by in report.ratios.values())]
        for c in report.columns
        if any(c.name in by for by in report.ratios.values())
    ]
    return Table("ratios", "How many times the network's energy its twins take", ["prices", *report.ratios], rows,
                 "In brackets the range over the alternatives of the prices. Above 1 spikes save energy, below 1 they "
                 "cost.")  # fmt: skip


def matrices(report: NetworkReport) -> Table:
    rows = [
        [m.name, m.kind, f"{m.weights:,}", amount(m.dense), amount(m.done), f"{m.done / m.dense:.4f}"]
        for m in report.matrices
        if m.dense
    ]
    head = ["node", "operations are", "weights", "dense", "done", "share done"]
    return Table("matrices", "Nodes with weights, operations a step", head, rows, prose=(1,))


def terms(report: NetworkReport) -> Table:
    """The network's energy term by term."""
    own = report.row(NETWORK).energy_terms_j
    kinds = list(dict.fromkeys(term for by in own.values() for term in by))
    rows = [[c.name, *(microjoules(own[c.name].get(k)) for k in kinds)] for c in report.columns if c.name in own]
    return Table("terms", "Where the network's energy goes, µJ a step", ["prices", *kinds], rows)


def unpriced(report: NetworkReport) -> Table:
    rows = [
        [r.name, column, ", ".join(f"{name} {amount(n)}" for name, n in by.items())]
        for r in report.rows
        for column, by in r.unpriced.items()
        if by
    ]
    return Table("unpriced", "What meets no price, times a step", ["row", "prices", "without a price"], rows,
                 prose=(1, 2))  # fmt: skip


def chosen(report: NetworkReport, column: str) -> Table:
    """What the page's switch shows: every row that the column prices."""
    rows = []
    for r in report.rows:
        if column not in r.energy_j:
            continue
        span = report.ratios.get(r.name, {}).get(column)
        rows.append([
            r.name, joules(r, column), digits(span[0]) if span else NONE,
            f"{digits(span[1])} to {digits(span[2])}" if span else NONE,
            ", ".join(r.unpriced[column]) or "nothing", WHAT[r.name],
        ])  # fmt: skip
    head = ["row", "µJ a step", "times the network", "range", "without a price here", "what it is"]
    return Table("chosen", f"Energy at {column}", head, rows, "A row without a price in this column is not listed.",
                 (4, 5))  # fmt: skip


def amount(value: float) -> str:
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def joules(row: NetworkRow, column: str) -> str:
    return microjoules(row.energy_j[column][0]) if column in row.energy_j else NONE
