"""Ratios between rows: like with like, at the same prices, with the range that the assumptions of the prices leave."""

from collections.abc import Mapping, Sequence

from hw_sim.energy.entries import Costs, Entry
from hw_sim.energy.price import price
from hw_sim.energy.schema import ALL_OPERATIONS, OPERATIONS, Comparison
from hw_sim.energy.settings import Settings
from hw_sim.energy.work import Work


def comparable(a: Entry, b: Entry) -> bool:
    """Whether a ratio of two rows means something.

    Two counted rows must be of the same text, cut into as many tokens; a row from shapes fits any, as its counts hold
    on every text or rest on assumptions that it names.
    """
    if a.measurement and b.measurement:
        same = a.measurement.text_sha256 == b.measurement.text_sha256
        return same and len(a.measurement.tokens) == len(b.measurement.tokens)
    return True


def compare(reference: Entry, subject: Entry, settings: Settings, costs: Mapping[str, Costs]) -> list[Comparison]:
    """Operations, and energy in every column that prices both; nothing where the two are not comparable.

    `costs` by the names of entries.
    """
    if not comparable(reference, subject):
        return []
    own, other, mean = subject.work, reference.work, reference.mean
    found = []
    for name, operations in ((OPERATIONS, _synops), (ALL_OPERATIONS, _all_operations)):
        if operations(own):
            ratio = {"": operations(other) / operations(own)}
            found.append(
                _comparison(reference, subject, name, ratio, operations(mean) / operations(own) if mean else None)
            )
    for column in settings.columns:
        ours, theirs = costs[subject.name].get(column.name), costs[reference.name].get(column.name)
        if not ours or not theirs:
            continue
        ratios = {name: theirs[name].total_j / ours[name].total_j for name in ours}
        over = price(mean, settings.profile(column), column.precision, streams=settings.batch) if mean else None
        found.append(
            _comparison(reference, subject, column.name, ratios, over.total_j / ours[""].total_j if over else None)
        )
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
