"""Energy per token against one thing at a time: context, firing rate, batch, token rate."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hw_sim.energy.chips import static_power
from hw_sim.energy.entries import Entry, prompt_of
from hw_sim.energy.price import price
from hw_sim.energy.schema import Shape
from hw_sim.energy.settings import Settings
from hw_sim.energy.shapes import gpt, spikegpt
from hw_sim.energy.work import Work
from spikegpt.config import SPIKE_DRIVEN

CONTEXTS = [2**i for i in range(15)]
RATES = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0]
BATCHES = [2**i for i in range(9)]
TOKENS_PER_S = [10.0**i for i in range(7)]


def sweeps(shape: Shape, ours: Entry, twin: Entry, settings: Settings) -> dict[str, dict[str, Any]]:
    """Joules per token by sweep, side ("gpt_j", "continuous_j", "ours_j") and column, along "x".

    All else is as the report's settings say: context, mode, batch. Only columns that price a side are in it.
    "static_j" is the static power of all chips that hold the model, by profile and token rate.
    """
    mode, prompt = settings.mode, prompt_of(settings)

    def at_context(context: int) -> Work:
        return gpt("gpt", shape, context, mode)

    def prompted(work: Work, context: int) -> Work:
        return replace(work, prompt=context) if prompt > 1 else work

    def curve(works: Iterable[tuple[Work, int]]) -> dict[str, list[float]]:
        listed = list(works)
        found = {}
        for column in settings.columns:
            profile = settings.profile(column)
            energies = [price(w, profile, column.precision, streams=b) for w, b in listed]
            if all(energies):
                found[column.name] = [e.total_j for e in energies if e]
        return found

    batch = settings.batch
    static = {
        name: [sum(static_power(profile.static_w_per_chip, site, rate).values()) for rate in TOKENS_PER_S]
        for name, profile in settings.priced.items()
        if profile.static_w_per_chip and (site := settings.sites.get(profile.technology))
    }
    return {
        "context": {
            "x": CONTEXTS,
            "gpt_j": curve((at_context(t), batch) for t in CONTEXTS),
            "ours_j": curve((prompted(ours.work, t), batch) for t in CONTEXTS),
        },
        "rate": {
            "x": RATES,
            "continuous_j": curve((twin.work, batch) for _ in RATES),
            "ours_j": curve((spikegpt("", SPIKE_DRIVEN, shape, r, prompt=prompt), batch) for r in RATES),
        },
        "batch": {
            "x": BATCHES,
            "gpt_j": curve((at_context(settings.window), b) for b in BATCHES),
            "continuous_j": curve((twin.work, b) for b in BATCHES),
            "ours_j": curve((ours.work, b) for b in BATCHES),
        },
        "token_rate": {
            "x": TOKENS_PER_S,
            "static_j": static,
            "chips": {k: site.chips for k, site in settings.sites.items()},
        },
    }
