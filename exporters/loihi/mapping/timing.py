"""How long the chip takes: the time of its steps from a mapping and measured spikes, core by core.

At a step every core updates all its neurons, sends a message for each spike and destination core, takes in those that
reach it and processes their synapses; it sends and takes in side by side, and is done when both are. The step ends when
the slowest core is done and the tiles in use have met at the barrier:

    step = barrier(tiles) + max over cores of max(neurons + spikes + messages out, messages in + synapses)

This is the "simple" timing model of SANA-FE (J. Boyle et al., IEEE TCAD 2025), whose figures `times/` hold; tests run
both. A population fires in its layer, as many steps behind the start of a token as messages lie between (`Values`).
Alone, a token has the chip for all its steps, and the next waits for it; pipelined, one begins at every step.
"""

from collections.abc import Iterator
from collections.abc import Mapping as Named
from importlib import resources
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import msgspec
import numpy as np

from exporters.loihi.mapping.mapper import Mapping
from hw_sim.energy.placement import Speed
from spikegpt.documents import parse_document

RECORDED = 256  # tokens whose spikes are looked at, unless a text is shorter
EVENTS = ("spikes", "messages out", "messages in", "dense synapses", "sparse synapses")
OUT = 2  # of them, on the way out of a core; the others on the way in
LEFT_OUT = (
    "waiting for links that others use, and the way of a message over the mesh",
    "what a graded message and the microcode of a custom neuron take, beyond a step and the update of a neuron",
    "the host: embedding, what else runs there, and the values from and to it",
)


class Times(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds of a chip's events; `barrier_s` from so many tiles in use on."""

    chip: str
    source: str
    grade: str
    neuron_s: float
    spike_s: float
    message_out_s: float
    message_in_s: float
    dense_synapse_s: float
    sparse_synapse_s: float
    barrier_s: dict[int, float]

    @property
    def events_s(self) -> np.ndarray:
        """In the order of EVENTS, to be multiplied with (5, T, cores)."""
        times = self.spike_s, self.message_out_s, self.message_in_s, self.dense_synapse_s, self.sparse_synapse_s
        return np.array(times)[:, None, None]

    def barrier(self, tiles: int) -> float:
        return self.barrier_s[max(n for n in self.barrier_s if n <= max(1, tiles))]


def times_of(chip: str) -> Times | None:
    """The published times of a chip, by its name; None where nobody published any."""
    for entry in sorted(resources.files("exporters.loihi").joinpath("times").iterdir(), key=lambda e: e.name):
        found = parse_document(entry.read_bytes(), entry.name, Times, is_yaml=True)
        if found.chip == chip:
            return found
    return None


def layers_of(mapping: Mapping, spikes: Named[str, np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """Layer by layer, what its spikes give the cores to do: exact numbers of EVENTS, (5, T, cores), of a text whose
    spikes are (T, neurons) of 0 and 1 by population."""
    layers = mapping.values.layers
    firing = sorted((layers[g.population], i) for i, g in enumerate(mapping.groups) if g.population is not None)
    for layer, members in groupby(firing, key=itemgetter(0)):
        yield layer, np.sum([_events(mapping, index, spikes) for _, index in members], axis=0)


def _events(mapping: Mapping, index: int, spikes: Named[str, np.ndarray]) -> np.ndarray:
    """The same of one population, by its group."""
    groups, blocks = mapping.groups, mapping.partition.blocks
    train = spikes[str(groups[index].population)].astype(np.float32)  # whole numbers below 2^24: exact
    feeds = mapping.partition.feeds.get(index, {})
    copies = sum((mask.astype(np.float32) for mask in feeds.values()), np.zeros(train.shape[1], np.float32))
    found = np.zeros((len(EVENTS), len(train), mapping.partition.cores))
    fired, sent, taken, *synapses = found
    for block in (b for b in blocks if b.group == index):
        part = train[:, block.low : block.high]
        fired[:, block.core] += part.sum(axis=1)
        sent[:, block.core] += part @ copies[block.low : block.high]
    for core, mask in feeds.items():
        taken[:, core] = train @ mask.astype(np.float32)
    for block in (b for b in blocks if groups[b.group].source == index):
        there = np.count_nonzero(groups[block.group].weights[:, block.low : block.high], axis=1)
        held = there if block.sparse else np.where(there, block.high - block.low, 0)
        synapses[block.sparse][:, block.core] += train @ held.astype(np.float32)
    return found


class Steps(NamedTuple):
    """A text on the chip: seconds that cores work at each step, (T + steps - 1, cores), where a token begins at every
    step; EVENTS of each, (5, T + steps - 1, cores); of each token alone, (T,) seconds."""

    barrier_s: float
    neurons_s: np.ndarray
    events: np.ndarray
    alone_s: np.ndarray


def steps_of(mapping: Mapping, spikes: Named[str, np.ndarray], times: Times) -> Steps:
    """All steps of a text whose spikes were recorded."""
    cores, steps = mapping.partition.cores, mapping.values.steps
    tokens = len(next(iter(spikes.values())))
    neurons = times.neuron_s * mapping.partition.usage["neurons"]
    barrier = times.barrier(len(np.unique(mapping.places // mapping.chip.cores_per_tile)))
    found = np.zeros((len(EVENTS), tokens + steps - 1, cores))
    alone = np.full(tokens, steps * (barrier + neurons.max()))
    for layer, events in layers_of(mapping, spikes):
        found[:, layer : layer + tokens] += events
        alone += _busy(neurons, events * times.events_s).max(axis=1) - neurons.max()
    return Steps(barrier, neurons, found, alone)


def speed_of(mapping: Mapping, spikes: Named[str, np.ndarray]) -> tuple[Speed, np.ndarray] | None:
    """Steps, latency and rates of a mapped network on a text whose spikes were recorded, and how long each core works
    in a mean step of the pipelined network, (cores,) seconds; None where the chip has no published times."""
    times = times_of(mapping.chip.name)
    if times is None or not spikes:
        return None
    found, steps = steps_of(mapping, spikes, times), mapping.values.steps
    tokens = len(found.alone_s)
    took = (found.events[:, steps - 1 : tokens] if tokens >= steps else found.events) * times.events_s
    busy = _busy(found.neurons_s, took)
    slowest = np.bincount(busy.argmax(axis=1), minlength=mapping.partition.cores)
    core = int(slowest.argmax())
    parts = {"neurons": found.neurons_s[core], **dict(zip(EVENTS, took[:, :, core].mean(axis=1), strict=True))}
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
        slowest_parts={name: float(seconds) for name, seconds in parts.items()},
        left_out=LEFT_OUT,
    )
    return speed, busy.mean(axis=0)


def run_of(mapping: Mapping, spikes: Named[str, np.ndarray], times: Times) -> dict[str, float]:
    """A whole text where a token begins at every step: steps, time, and the exact numbers of EVENTS and updates."""
    found = steps_of(mapping, spikes, times)
    steps = found.events.shape[1]
    busy = _busy(found.neurons_s, found.events * times.events_s)
    return {
        "steps": steps,
        "time_s": steps * found.barrier_s + float(busy.max(axis=1).sum()),
        "neuron_updates": steps * int(mapping.partition.usage["neurons"].sum()),
        **{name.replace(" ", "_"): int(n) for name, n in zip(EVENTS, found.events.sum(axis=(1, 2)), strict=True)},
    }


def _busy(neurons: np.ndarray, took: np.ndarray) -> np.ndarray:
    """How long cores work at a step, (T, cores): on the way out or on the way in, whichever takes longer."""
    return np.maximum(neurons + took[:OUT].sum(axis=0), took[OUT:].sum(axis=0))
