"""How long the chip takes: the time of its steps from a mapping and measured spikes.

A step ends when the slowest core is done (`work`) and the tiles in use have met at the barrier. A population fires in
its layer, as many steps behind the start of a token as messages lie between (`Values`). Alone, a token has the chip for
all its steps, and the next waits for it; pipelined, one begins at every step. Tests hold it against SANA-FE.
"""

from collections.abc import Iterator
from collections.abc import Mapping as Named
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from exporters.loihi.mapping.mapper import Mapping
from exporters.loihi.mapping.work import EVENTS, Times, busy_of, events_of, times_of
from hw_sim.energy.placement import Speed

RECORDED = 256  # tokens whose spikes are looked at, unless a text is shorter
LEFT_OUT = (
    "waiting for links that others use, and the way of a message over the mesh",
    "what a graded message and the microcode of a custom neuron take, beyond a step and the update of a neuron",
    "the host: embedding, what else runs there, and the values from and to it",
)


def layers_of(mapping: Mapping, spikes: Named[str, np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """Layer by layer, what its spikes give the cores to do: exact numbers of EVENTS, (5, T, cores), of a text whose
    spikes are (T, neurons) of 0 and 1 by population."""
    layers = mapping.values.layers
    firing = sorted((layers[g.population], i) for i, g in enumerate(mapping.groups) if g.population is not None)
    for layer, members in groupby(firing, key=itemgetter(0)):
        trains = {index: spikes[str(mapping.groups[index].population)].astype(np.float32) for _, index in members}
        found = [events_of(mapping.groups, mapping.partition, i, train) for i, train in trains.items()]
        yield layer, np.sum(found, axis=0)


class Steps(NamedTuple):
    """A text on the chip, where a token begins at every step: EVENTS of each, (5, T + steps - 1, cores); and of each
    token alone, (T,) seconds."""

    barrier_s: float
    events: np.ndarray
    alone_s: np.ndarray


def steps_of(mapping: Mapping, spikes: Named[str, np.ndarray], times: Times) -> Steps:
    """All steps of a text whose spikes were recorded."""
    parts, steps = mapping.partition, mapping.values.steps
    tokens = len(next(iter(spikes.values())))
    barrier = times.barrier(len(np.unique(mapping.places // mapping.chip.cores_per_tile)))
    found = np.zeros((len(EVENTS), tokens + steps - 1, parts.cores))
    silent = busy_of(parts, found[:, :1], times).max()
    alone = np.full(tokens, steps * (barrier + silent))
    for layer, events in layers_of(mapping, spikes):
        found[:, layer : layer + tokens] += events
        alone += busy_of(parts, events, times).max(axis=1) - silent
    return Steps(barrier, found, alone)


def speed_of(mapping: Mapping, spikes: Named[str, np.ndarray]) -> tuple[Speed, np.ndarray] | None:
    """Steps, latency and rates of a mapped network on a text whose spikes were recorded, and how long each core works
    in a mean step of the pipelined network, (cores,) seconds.

    None for a chip without published times, and where no matrix runs on it.
    """
    times = times_of(mapping.chip.name)
    if times is None or not spikes or not any(group.fan_in for group in mapping.groups):
        return None
    found, steps = steps_of(mapping, spikes, times), mapping.values.steps
    tokens = len(found.alone_s)
    full = found.events[:, steps - 1 : tokens] if tokens >= steps else found.events
    busy = busy_of(mapping.partition, full, times)
    slowest = np.bincount(busy.argmax(axis=1), minlength=mapping.partition.cores)
    core = int(slowest.argmax())
    took = (full * times.events_s)[:, :, core].mean(axis=1)
    neurons = times.neuron_s * int(mapping.partition.usage["neurons"][core])
    speed = Speed(
        source=times.source,
        grade=times.grade,
        tokens=tokens,
        steps_per_token=steps,
        step_s=found.barrier_s + float(busy.max(axis=1).mean()),
        barrier_s=found.barrier_s,
        latency_s=float(found.alone_s.mean()),
        slowest_core=core,
        slowest_share=float(slowest[core] / slowest.sum()),
        slowest_parts={"neurons": neurons, **dict(zip(EVENTS, map(float, took), strict=True))},
        left_out=LEFT_OUT,
    )
    return speed, busy.mean(axis=0)


def run_of(mapping: Mapping, spikes: Named[str, np.ndarray], times: Times) -> dict[str, float]:
    """A whole text where a token begins at every step: steps, time, and the exact numbers of EVENTS and updates."""
    found = steps_of(mapping, spikes, times)
    steps = found.events.shape[1]
    busy = busy_of(mapping.partition, found.events, times)
    return {
        "steps": steps,
        "time_s": steps * found.barrier_s + float(busy.max(axis=1).sum()),
        "neuron_updates": steps * int(mapping.partition.usage["neurons"].sum()),
        **{name.replace(" ", "_"): int(n) for name, n in zip(EVENTS, found.events.sum(axis=(1, 2)), strict=True)},
    }
