"""What spikes give the cores of a chip to do, and how long it takes them: events, counted, and their published times.

At a step every core updates all its neurons, sends a message for each spike and destination core, takes in those that
reach it and processes their synapses; it sends and takes in side by side, and is done when both are:

    max(neurons + spikes + messages out, messages in + synapses)

This is the "simple" timing model of SANA-FE (J. Boyle et al., IEEE TCAD 2025), whose figures `times/` hold.
"""

from importlib import resources

import msgspec
import numpy as np

from exporters.loihi.mapping.groups import Group
from exporters.loihi.mapping.partition import Partition
from spikegpt.documents import parse_document

EVENTS = ("spikes", "messages out", "messages in", "dense synapses", "sparse synapses")
OUT = 2  # of them, on the way out of a core; the others on the way in


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


def events_of(groups: tuple[Group, ...], parts: Partition, index: int, train: np.ndarray) -> np.ndarray:
    """EVENTS by core, (5, T, cores), of the spikes of a group, (T, neurons) float32: exact below 2^24 for 0 and 1."""
    feeds = parts.feeds.get(index, {})
    copies = sum((mask.astype(np.float32) for mask in feeds.values()), np.zeros(train.shape[1], np.float32))
    found = np.zeros((len(EVENTS), len(train), parts.cores))
    fired, sent, taken, *synapses = found
    for block in (b for b in parts.blocks if b.group == index):
        part = train[:, block.low : block.high]
        fired[:, block.core] += part.sum(axis=1)
        sent[:, block.core] += part @ copies[block.low : block.high]
    for core, mask in feeds.items():
        taken[:, core] = train @ mask.astype(np.float32)
    for block in (b for b in parts.blocks if groups[b.group].source == index):
        there = np.count_nonzero(groups[block.group].weights[:, block.low : block.high], axis=1)
        held = there if block.sparse else np.where(there, block.high - block.low, 0)
        synapses[block.sparse][:, block.core] += train @ held.astype(np.float32)
    return found


def busy_of(parts: Partition, events: np.ndarray, times: Times) -> np.ndarray:
    """Seconds that cores work at a step, (T, cores), at which these EVENTS (5, T, cores) meet them: on the way out or
    on the way in, whichever takes longer."""
    took = events * times.events_s
    return np.maximum(times.neuron_s * parts.usage["neurons"] + took[:OUT].sum(axis=0), took[OUT:].sum(axis=0))
