"""All tables of a report, and those that the main ones rest on, down to matrices, neurons and sources."""

from collections.abc import Sequence
from typing import Any

from hw_sim.energy import chip_tables, for_scale
from hw_sim.energy.schema import OPERATIONS, Report, Told
from hw_sim.energy.summary import microjoules, shown_first
from hw_sim.energy.tables import NONE, Table, columns, counts, energy, models, number, operations, ratios


def tables(report: Report) -> list[Table]:
    """All that hold something, in the order of a reader's questions."""
    found = [
        models(report),
        energy(report),
        ratios(report),
        operations(report),
        counts(report),
        terms(report),
        unpriced(report),
        elementwise(report),
        moved(report),
        memory(report),
        matrices(report),
        break_even(report),
        populations(report),
        equal(report),
        chip_tables.chips(report),
        chip_tables.chip_time(report),
        chip_tables.left_out(report),
        chip_tables.footprint(report),
        chip_tables.static(report),
        for_scale.host(report),
        for_scale.compressors(report),
        assumptions(report),
        prices(report),
        for_scale.systems(report),
        analytic(report),
    ]
    return [table for table in found if table.rows]


def terms(report: Report) -> Table:
    """The subject's energy term by term."""
    own = report.subject.energy_terms_j
    kinds = list(dict.fromkeys(term for by in own.values() for term in by))
    rows = [[c, *(microjoules(own[c].get(kind)) for kind in kinds)] for c in columns(report) if c in own]
    return Table("terms", f"Where the energy of {report.subject.name} goes, µJ a token", ["prices", *kinds], rows)


def unpriced(report: Report) -> Table:
    own = report.subject.unpriced
    kinds = list(dict.fromkeys(term for by in own.values() for term in by))
    rows = [[c, *(number(own[c].get(kind)) for kind in kinds)] for c in columns(report) if own.get(c)]
    return Table(
        "unpriced", f"What {report.subject.name} does that meets no price, times a token", ["prices", *kinds], rows
    )


def elementwise(report: Report) -> Table:
    kinds = list(report.subject.elementwise)
    rows = [[r.name, *(number(r.elementwise.get(k, 0)) for k in kinds)] for r in report.rows]
    return Table("element-wise", "Operations outside the matrices, a token", ["model", *kinds], rows)


def moved(report: Report) -> Table:
    levels = list(dict.fromkeys(level for r in report.rows for by in r.bytes.values() for level in by))
    rows = [
        [r.name, p, *(number(by.get(level, 0)) for level in levels)] for r in report.rows for p, by in r.bytes.items()
    ]
    return Table("bytes", "Bytes moved a token, by memory level", ["model", "precision", *levels], rows, prose=(1,))


def memory(report: Report) -> Table:
    rows = [[r.name, number(r.weight_words), number(r.state_words), number(r.kv_words)] for r in report.rows]
    head = ["model", "weights", "state of constant size", "keys and values (KV cache)"]
    return Table("memory", "What has to be stored, words", head, rows)


def matrices(report: Report) -> Table:
    rows = [
        [
            m["name"],
            m["input"],
            *(number((m["observed"] or {}).get(k), ".3f") for k in ("zeros", "binary", "integers")),
            f"{m['density']:.4f}",
            number(m["synops_per_token"]),
            number(m["dense_per_token"]),
        ]
        for m in report.matrices
    ]
    return Table(
        "matrices",
        "Inputs of every matrix",
        ["matrix", "input", "zeros", "0 or 1", "whole", "density", "done", "dense"],
        rows,
        "input: spikes where the structure of the network feeds the matrix from spiking neurons alone. zeros, 0 or 1, "
        "whole: shares of input values seen on the first tokens. density: share of inputs that are active.",
        (1,),
    )


def break_even(report: Report) -> Table:
    """For the model and for each size of matrix that spikes feed, as many matrices share a limit."""
    alike: dict[int, list[dict[str, Any]]] = {}
    for m in report.matrices:
        if m["input"] == "spikes":
            alike.setdefault(m["dense_per_token"], []).append(m)
    heads = [m[0]["name"] if len(m) == 1 else f"{m[0]['name']} and {len(m) - 1} of its size" for m in alike.values()]
    rows = [
        [
            c,
            number(report.break_even.get(c), ".3f"),
            *(number(m[0]["break_even"].get(c), ".3f") for m in alike.values()),
        ]
        for c in columns(report)
    ]
    return Table(
        "break-even",
        "Density below which spikes cost less than no spikes",
        ["prices", "whole model", *heads],
        rows,
        f"This model's density is {report.measurement['density']:.4f}. Above 1 these prices can never favour the "
        "network without spikes.",
    )


def populations(report: Told) -> Table:
    def some(count: int, which: Sequence[int]) -> str:
        return f"{count}: {', '.join(map(str, which))}{', ..' * (len(which) < count)}" if count else "0"

    rows = [
        [a.name, number(a.neurons), f"{a.rate:.4f}", some(a.dead_count, a.dead), some(a.saturated_count, a.saturated)]
        for a in report.activity
    ]
    return Table(
        "populations",
        "Spiking neurons",
        ["population", "neurons", "rate", "never fired", "always fired"],
        rows,
        f"rate: share of {report.unit}s at which a neuron fires, mean of the population. Neurons are named by "
        "their number.",
        (3, 4),
    )


def equal(report: Report) -> Table:
    first = shown_first(report)
    cost = first.name if first else OPERATIONS
    rows = [
        [
            p.name,
            "yes" if p.spiking else "no",
            f"{p.shape.n_layer} x {p.shape.d}",
            f"{p.bits_per_byte:.4f}",
            number(p.cost.get(OPERATIONS)),
            microjoules(p.cost.get(cost)),
            p.source,
        ]
        for p in report.equal_quality.points
    ]
    return Table(
        "quality",
        f"Models of this text, scored on {report.equal_quality.tokens:,} tokens",
        ["model", "spikes", "layers x width", "bits/byte", "operations", f"µJ at {cost}", "from"],
        rows,
        prose=(1, 2, 6),
    )


def assumptions(report: Report) -> Table:
    rows = [[r.name, a.name, a.value, a.source] for r in report.rows for a in r.assumptions]
    rows += [[r.name, note, NONE, NONE] for r in report.rows for note in r.notes]
    return Table(
        "assumptions",
        "What rows take for granted",
        ["model", "assumption or note", "value", "source"],
        rows,
        prose=(1, 2, 3),
    )


def prices(report: Told) -> Table:
    rows = [[name, p["grade"], p["source"], p["scope"]] for name, p in report.profiles.items()]
    return Table("prices", "Prices and their sources", ["profile", "grade", "source", "scope"], rows, prose=(1, 2, 3))


def analytic(report: Report) -> Table:
    rows = [[r.name, r.formula or "", r.reference or ""] for r in report.rows if r.formula]
    return Table(
        "analytic", "Rows from published formulas", ["system", "operations a token", "reference"], rows, prose=(1, 2)
    )
