"""How the spiking neurons of a run fired: histograms, neurons that are dead or saturated, and a look at the spikes."""

from collections.abc import Iterable, Mapping

import numpy as np

from hw_sim.counts.counts import PopulationCount
from hw_sim.energy.schema import NAMED, RATE_EDGES, Activity

SAMPLED = 12  # neurons of a population in the raster, evenly spaced


def activity(populations: Iterable[PopulationCount], spikes: Mapping[str, np.ndarray]) -> tuple[Activity, ...]:
    """Each population's activity; `spikes` (tokens, neurons) of the first tokens, by the names of populations."""
    return tuple(_activity(p, spikes.get(p.name)) for p in populations)


def _activity(p: PopulationCount, spikes: np.ndarray | None) -> Activity:
    never, always = np.flatnonzero(p.fired == 0), np.flatnonzero(p.fired == p.tokens)
    between = p.rates[(p.fired > 0) & (p.fired < p.tokens)]
    histogram, _ = np.histogram(between, RATE_EDGES)
    sampled = np.unique(np.linspace(0, p.neurons - 1, min(SAMPLED, p.neurons)).round().astype(int))
    seen = np.zeros((0, p.neurons)) if spikes is None else spikes
    return Activity(
        name=p.name,
        neurons=p.neurons,
        rate=p.spikes / max(1, p.updates),
        histogram=(never.size, *histogram.tolist(), always.size),
        dead_count=never.size,
        saturated_count=always.size,
        dead=tuple(never[:NAMED].tolist()),
        saturated=tuple(always[:NAMED].tolist()),
        sampled=tuple(sampled.tolist()) if len(seen) else (),
        raster_tokens=len(seen),
        raster=tuple((int(t), int(sampled[i])) for t, i in np.argwhere(seen[:, sampled])),
    )
