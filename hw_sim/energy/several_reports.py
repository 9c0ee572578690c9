"""Several reports beside each other: what each says of its model, and what stands in the way of comparing them."""

from collections.abc import Mapping
from typing import Any

from hw_sim.energy.schema import Column, Report
from hw_sim.energy.summary import microjoules, rivals, shown_first
from hw_sim.energy.tables import Table, number, quality, spanned

SAME = {  # what has to be equal for two reports to be compared
    "text": lambda r: r.subject.text_sha256,
    "number of tokens": lambda r: r.measurement["tokens"],
    "context of the Transformer": lambda r: r.measurement["context"],
    "Transformer's token": lambda r: r.measurement["mode"],
    "batch": lambda r: r.measurement["batch"],
    "way of counting": lambda r: r.measurement["measured"],
}  # fmt: skip


def differences(reports: Mapping[str, Report]) -> list[str]:
    """What the reports do not share, a sentence each."""
    found = []
    for what, of in SAME.items():
        values: list[Any] = [of(r) for r in reports.values()]
        if len(set(values)) > 1:
            found.append(f"Not the same {what} in all of these reports: compare with care.")
    return found


def columns(reports: Mapping[str, Report]) -> list[Column]:
    """Price columns of any report that price its model."""
    found = [c for r in reports.values() for c in r.columns if r.subject.energy_j.get(c.name) is not None]
    return list(dict.fromkeys(found))


def shared_column(reports: Mapping[str, Report]) -> Column | None:
    """The column to begin with: the first report's, one that all reports have where there is such a one."""
    found = [shown_first(r) for r in reports.values()]
    priced = [{c.name for c in columns({"": r})} for r in reports.values()]
    return next(
        (c for c in found if c and all(c.name in names for names in priced)), next((c for c in found if c), None)
    )


def table(reports: Mapping[str, Report], priced: Column | None) -> Table:
    """A line a measure, a column a report."""
    own = [r.subject for r in reports.values()]
    lines: list[list[str]] = [
        ["variant", *(r.variant for r in own)],
        ["layers x width", *(f"{r.shape.n_layer} x {r.shape.d}" for r in own)],
        ["operations are", *(r.counts for r in own)],
        ["bits per byte", *map(quality, own)],
        ["operations a token, matrices", *(number(r.synops) for r in own)],
        ["operations a token, with element-wise", *(number(r.all_operations) for r in own)],
        ["density of the body", *(number(r.measurement["density"], ".4f") for r in reports.values())],
        ["weights, words", *(number(r.weight_words) for r in own)],
    ]
    if priced:
        column = priced.name
        lines.append([f"µJ a token at {column}", *(microjoules(r.energy_j.get(column)) for r in own)])
        spans = [{v.label: v.spans[column] for v in rivals(r) if column in v.spans} for r in reports.values()]
        for label in dict.fromkeys(label for found in spans for label in found):
            cells = [spanned(found.get(label)) for found in spans]
            lines.append([f"energy of {label}, times its own", *cells])
    return Table("beside", "The models of the reports", ["measure", *reports], lines)
