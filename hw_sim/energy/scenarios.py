"""The report's models at other contexts and batches, for the page's switch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

from hw_sim.energy.entries import Entry
from hw_sim.energy.price import costs
from hw_sim.energy.ratios import compare
from hw_sim.energy.schema import ALL_OPERATIONS, OPERATIONS, Scenario
from hw_sim.energy.settings import Settings

CONTEXTS, BATCHES = (256, 1024, 4096), (1, 8, 64)


def scenarios(lineup: Callable[[Settings], Sequence[Entry]], settings: Settings) -> tuple[Scenario, ...]:
    """Every context of CONTEXTS and every batch of BATCHES, and the report's own of either; not the report itself."""
    own = (settings.window, settings.batch)
    contexts, batches = (sorted({*some, at}) for some, at in zip((CONTEXTS, BATCHES), own, strict=True))
    return tuple(
        scenario(lineup, replace(settings, context=context, batch=batch, baselines=False))
        for context, batch in product(contexts, batches)
        if (context, batch) != own
    )


def scenario(lineup: Callable[[Settings], Sequence[Entry]], settings: Settings) -> Scenario:
    entries = lineup(settings)
    subject = next(e for e in entries if e.role == "subject")
    priced = {e.name: costs(e.work, settings, e.precision, placeable=e.placeable) for e in entries}
    compared = [c for e in entries if e is not subject for c in compare(e, subject, settings, priced)]
    ratios: dict[str, dict[str, tuple[float, float, float]]] = {}
    for c in compared:
        if c.column not in (OPERATIONS, ALL_OPERATIONS):
            ratios.setdefault(c.reference, {})[c.column] = (c.ratio, c.low, c.high)
    terms = {name: {column: found[""].terms for column, found in by.items()} for name, by in priced.items()}
    return Scenario(context=settings.window, batch=settings.batch, energy_terms_j=terms, ratios=ratios)
