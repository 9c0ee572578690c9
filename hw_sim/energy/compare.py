"""Ratios between rows: like with like, at the same prices, with the range that the assumptions of the prices leave."""

from collections.abc import Sequence

from hw_sim.energy.entries import Entry
from hw_sim.energy.price import price
from hw_sim.energy.schema import ALL_OPERATIONS, OPERATIONS, Column, Comparison
from hw_sim.energy.settings import Settings
from hw_sim.energy.work import Work


def comparable(a: Entry, b: Entry) -> bool:
    """Whether a ratio of two rows means something.

    Two counted rows must be of the same text, cut into as many tokens; a row from shapes fits any, as its counts hold on
    every text or rest on assumptions that it names.
    """
    if a.measurement and b.measurement:
        same = a.measurement.text_sha256 == b.measurement.text_sha256
        return same and len(a.measurement.tokens) == len(b.measurement.tokens)
    return True


def energies(work: Work, settings: Settings, column: Column) -> dict[str, float]:
    """Joules per token under the column's prices ("") and under each of its alternatives, where it prices the work."""
    profile = settings.profile(column)
    turned = {"": profile} | {a.name: profile.under(a) for a in profile.alternatives_at(column.precision)}
    found = {name: price(work, p, column.precision, streams=settings.batch) for name, p in turned.items()}
    return {name: e.total_j for name, e in found.items() if e}


def compare(reference: Entry, subject: Entry, settings: Settings) -> list[Comparison]:
    """Operations, and energy in every column that prices both; nothing where the two are not comparable."""
    if not comparable(reference, subject):
        return []
    own, other = subject.work, reference.work
    found = []
    for name, operations in ((OPERATIONS, _synops), (ALL_OPERATIONS, _all_operations)):
        if operations(own):
            mean = operations(reference.mean) / operations(own) if reference.mean else None
            found.append(_comparison(reference, subject, name, {"": operations(other) / operations(own)}, mean))
    for column in settings.columns:
        if not reference.fits(column, settings) or not subject.fits(column, settings):
            continue
        ours, theirs = energies(own, settings, column), energies(other, settings, column)
        if not ours or not theirs or not all(ours.values()):
            continue
        ratios = {name: theirs[name] / ours[name] for name in ours}
        mean = None
        if reference.mean:
            mean = energies(reference.mean, settings, column)[""] / ours[""]
        found.append(_comparison(reference, subject, column.name, ratios, mean))
    return found


def _comparison(
    reference: Entry, subject: Entry, column: str, ratios: dict[str, float], mean: float | None
) -> Comparison:
    assumed = reference.work.assumptions + subject.work.assumptions
    plain = column in (OPERATIONS, ALL_OPERATIONS)
    return Comparison(
        reference=reference.name,
        subject=subject.name,
        column=column,
        ratio=ratios[""],
        low=min(ratios.values()),
        high=max(ratios.values()),
        by_alternative={name: ratio for name, ratio in ratios.items() if name},
        window_mean=mean,
        assumptions=tuple(dict.fromkeys(f"{a.name}: {a.value} ({a.source})" for a in assumed)),
        grade="modelled" if not plain else "assumed" if assumed else "counted",
    )


def _synops(work: Work) -> float:
    return work.synops / work.tokens


def _all_operations(work: Work) -> float:
    return (work.synops + sum(work.elementwise.values())) / work.tokens


def in_short(comparisons: Sequence[Comparison]) -> dict[str, dict[str, float]]:
    """Reference row -> column -> ratio."""
    found: dict[str, dict[str, float]] = {}
    for c in comparisons:
        found.setdefault(c.reference, {})[c.column] = c.ratio
    return found
