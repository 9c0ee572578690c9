"""Graded values between neurons: what element-wise work sends over the mesh, counted along the plan.

A spike-fed matrix leaves its sums in neurons; what follows (LayerNorm, token shift, WKV, gates, residual) is taken to
run in neurons too. An operation of one value runs in the neuron that holds it; of two values, in that neuron of the two
whose group comes later in dataflow order, to which the other value is sent; a LIF without synapses is sent its input;
a LayerNorm needs the sums of its whole vector, so every value goes to every core that holds a part of it. Embedding,
head, pools, matrices that read no spikes, and all that touches only their values run on the host.

A message is one a value and destination core, also where that is the neuron's own core, as for spikes; within one
neuron nothing is sent. A value is sent at every token, zero or not; a spike that no synapse weighs, when it fires.

A message takes a step of the chip: what a neuron makes of it is there one step after its sender was.
"""

from dataclasses import dataclass

import numpy as np

from exporters.loihi.mapping.groups import Group
from exporters.loihi.mapping.partition import Partition
from hw_sim.counts.counts import Counts
from hw_sim.plan import Op, Plan

HOST = -1  # the neuron of a value that is not on the chip
PAIRS = (Op.ADD, Op.MULTIPLY, Op.WKV)


@dataclass(frozen=True, eq=False)
class Values:
    """Over a whole run: `traffic` (cores, cores) int64 messages of graded values from core to core, own core included;
    `from_host` and `to_host` messages onto the chip and values off it. `layers` are the steps behind the start of a
    token, from 0, in which populations fire, `steps` those until its last value is there."""

    traffic: np.ndarray
    from_host: int
    to_host: int
    layers: dict[str, int]
    steps: int


def values_of(plan: Plan, groups: tuple[Group, ...], parts: Partition, counts: Counts) -> Values:
    """The graded messages of a run whose counts are `counts`; exact, the same for every text but for gated spikes."""
    walk = _Walk(plan, groups, parts, counts)
    walk.token()  # to learn where the state of the token shift is kept
    return walk.token()


class _Walk:
    """A token's way through the plan: which neuron holds each signal, and which value it is."""

    def __init__(self, plan: Plan, groups: tuple[Group, ...], parts: Partition, counts: Counts):
        self.plan, self.cores = plan, parts.cores
        sizes = np.array([g.neurons for g in groups], np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        self.neurons = {g.name: np.arange(starts[k], starts[k + 1]) for k, g in enumerate(groups)}
        self.core = np.full(int(starts[-1]) + 1, HOST, np.int64)  # of every neuron; the last is the host's
        for block in parts.blocks:
            self.core[starts[block.group] + block.low : starts[block.group] + block.high] = block.core
        self.fired = {p.name: p.fired for p in counts.populations}
        self.tokens = max((p.tokens for p in counts.populations), default=0)
        self.kept = np.full(plan.state.size, HOST, np.int64)  # neuron that keeps each number of the state
        self.layers: dict[str, int] = {}

    def token(self) -> Values:
        """Walk through all rows once; returns what was sent."""
        plan = self.plan
        self.at = np.full(plan.n_signals, HOST, np.int64)
        self.value = np.full(plan.n_signals, -1, np.int64)
        self.step = np.zeros(plan.n_signals, np.int64)  # in which each value is there; from the host, before the first
        self.often: list[np.ndarray] = []  # times that each value, by its number, is sent in the run
        self.made, self.last = 0, 0  # values, and the latest step at which one is there
        self.sent: list[np.ndarray] = []  # (3, n): value, core it leaves, core it goes to
        for i, name in enumerate(plan.names):
            self._row(i, name, Op(plan.table[i, 0]))
        return self._sums()

    def _row(self, i: int, name: str, op: Op) -> None:
        x, y, z, s, n_in, n = (int(self.plan.field(f)[i]) for f in ("x", "y", "z", "s", "n_in", "n_out"))
        if op == Op.COPY:
            for kept in (self.at, self.value, self.step):
                kept[y : y + n] = kept[x : x + n].copy()
        elif op == Op.DELAY_WRITE:
            self.kept[s : s + n] = self.at[x : x + n]
        elif op == Op.DELAY_READ:
            self._make(y, self.kept[s : s + n].copy(), 0)
        elif self.plan.operation(i).listens:
            lif = self.plan.driven(i)
            self._make(y, self.neurons[lif.name if lif else name], self.layers[self.plan.listened(i).name] + 1)
        elif self.plan.operation(i).fires:
            there = self._send(x, n, self.neurons[name])
            self.layers[name] = int(there.max())
            self._make(y, self.neurons[name], there, self.fired[name])
        elif self.plan.operation(i).matrix or op in (Op.OUTPUT, Op.POOL):
            self._send(x, n_in, np.full(n_in, HOST))
            if op != Op.OUTPUT:
                self._make(y, np.full(n, HOST), self.step[x : x + n_in].max())
        elif op == Op.EMBED:
            self._make(y, np.full(n, HOST), 0)
        elif op in PAIRS:
            neurons = np.maximum(self.at[x : x + n], self.at[z : z + n])
            self._make(y, neurons, np.maximum(self._send(x, n, neurons), self._send(z, n, neurons)))
        else:
            neurons, there = self.at[x : x + n].copy(), self.step[x : x + n].copy()
            if op == Op.LAYER_NORM:
                on_chip = neurons != HOST
                for core in np.unique(self.core[neurons[on_chip]]):
                    self._record(self.value[x : x + n][on_chip], neurons[on_chip], core)
                there[:] = there.max() + on_chip.any()
            self._make(y, neurons, there)

    def _make(self, y: int, neurons: np.ndarray, step: np.ndarray | int, often: np.ndarray | None = None) -> None:
        """New values at y, in these neurons, there at these steps."""
        n = len(neurons)
        self.at[y : y + n], self.value[y : y + n], self.step[y : y + n] = neurons, self.made + np.arange(n), step
        self.made, self.last = self.made + n, max(self.last, int(self.step[y : y + n].max(initial=0)))
        self.often.append(np.full(n, self.tokens) if often is None else often)

    def _send(self, x: int, n: int, neurons: np.ndarray) -> np.ndarray:
        """The values at x to these neurons, where they are in others; returns the steps at which they are there."""
        held = self.at[x : x + n]
        away = held != neurons
        self._record(self.value[x : x + n][away], held[away], self.core[neurons[away]])
        known = (held == HOST) & (self.step[x : x + n] == 0)  # to the host, before the first step
        return self.step[x : x + n] + (away & ~known)

    def _record(self, values: np.ndarray, senders: np.ndarray, cores: np.ndarray | int) -> None:
        self.sent.append(np.stack([values, self.core[senders], np.broadcast_to(cores, values.shape)]))

    def _sums(self) -> Values:
        traffic, steps = np.zeros((self.cores, self.cores), np.int64), 1 + self.last
        if not self.sent:
            return Values(traffic, 0, 0, self.layers, steps)
        value, source, target = np.unique(np.concatenate(self.sent, axis=1), axis=1)
        often = np.concatenate(self.often)[value]
        inside = (source != HOST) & (target != HOST)
        np.add.at(traffic, (source[inside], target[inside]), often[inside])
        host = int(often[source == HOST].sum()), int(often[target == HOST].sum())
        return Values(traffic, *host, self.layers, steps)
