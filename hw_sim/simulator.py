"""The event-driven simulator: runs a lowered network from its `.nir` graph and counts what it does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nir
import numpy as np

from exporters.nir.files import read
from hw_sim import fixed_point as fp
from hw_sim import kernels
from hw_sim.plan import Op, Plan
from hw_sim.planner import build
from spikegpt.errors import UserError

CHUNK = 512  # tokens between two reports of progress


@dataclass(frozen=True)
class MatrixCount:
    """Work of one matrix over a run, exact integers.

    `active_inputs` are spikes where the structure makes every input a spike (`spike_fed`), else non-zero reals;
    operations done are active_inputs * fan_out: accumulates in the first case, multiply-accumulates in the second.
    """

    name: str
    fan_in: int
    fan_out: int
    spike_fed: bool
    active_inputs: int
    tokens: int

    @property
    def dense(self) -> int:
        return self.tokens * self.fan_in * self.fan_out

    @property
    def effective(self) -> int:
        return self.active_inputs * self.fan_out

    @property
    def density(self) -> float:
        """Share of inputs that were active."""
        return self.active_inputs / (self.tokens * self.fan_in) if self.tokens else 0.0


@dataclass(frozen=True)
class PopulationCount:
    """Work of one LIF population over a run: `active` updates had a non-zero input, the other updates were idle."""

    name: str
    neurons: int
    spikes: int
    active: int
    tokens: int

    @property
    def updates(self) -> int:
        return self.neurons * self.tokens


@dataclass(frozen=True)
class Result:
    """What a run gave: logits (T, V) float32, exact counts, and, if asked for, the spikes by population (T, n)."""

    logits: np.ndarray
    matrices: tuple[MatrixCount, ...]
    populations: tuple[PopulationCount, ...]
    spikes: dict[str, np.ndarray]

    @property
    def spike_counts(self) -> dict[str, int]:
        """Spikes by population."""
        return {p.name: p.spikes for p in self.populations}

    @property
    def synops(self) -> int:
        """Binary synaptic operations: spikes * fan-out over the matrices that read spikes."""
        return sum(m.effective for m in self.matrices if m.spike_fed)

    @property
    def macs(self) -> int:
        """Multiply-accumulates done: non-zero real inputs * fan-out."""
        return sum(m.effective for m in self.matrices if not m.spike_fed)

    @property
    def dense(self) -> int:
        """Operations of the same matrices with no zero skipped."""
        return sum(m.dense for m in self.matrices)


class Simulator:
    """One stream through a plan; the state carries over from run to run until `reset`."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.reset()

    @classmethod
    def from_nir(cls, source: str | Path | nir.NIRGraph) -> "Simulator":
        """Load a `.nir` file or take a graph; raises UserError when it cannot be run."""
        graph = source if isinstance(source, nir.NIRGraph) else read(source)
        return cls(build(graph))

    def reset(self) -> None:
        """Return to the state before the first token."""
        self.state = self.plan.state.copy()

    def run(
        self, tokens: np.ndarray, *, record: bool = False, progress: Callable[[int], None] = lambda done: None
    ) -> Result:
        """Feed tokens (T,) through the network, continuing from the current state.

        `record` keeps all spikes; `progress` is told the tokens done since it was last called.
        Raises UserError on a token out of range or on numbers that are not finite.
        """
        plan, tokens = self.plan, np.ascontiguousarray(tokens, np.int64)
        if tokens.ndim != 1 or not tokens.size:
            raise UserError(f"tokens have shape {tokens.shape}; one text of at least one token is needed")
        if tokens.min() < 0 or tokens.max() >= plan.n_vocab:
            bad = tokens[(tokens < 0) | (tokens >= plan.n_vocab)][0]
            raise UserError(f"token {bad} is out of range: the vocabulary holds 0 to {plan.n_vocab - 1}")
        number = np.int64 if plan.integer else np.float32
        (output,) = plan.rows(Op.OUTPUT)
        logits = np.zeros((tokens.size, plan.field("n_out")[output]), number)
        counters = np.zeros((len(plan.table), 2), np.int64)
        raster = np.zeros((tokens.size if record else 0, plan.n_events), np.uint8)
        run = kernels.run_integer if plan.integer else kernels.run_float
        signals, events = np.zeros(plan.n_signals, number), np.zeros(plan.n_events, np.int32)
        lengths = np.zeros(plan.n_events + 1, np.int64)
        for low in range(0, tokens.size, CHUNK):
            part = slice(low, low + CHUNK)
            run(
                plan.table, plan.weights, plan.constants, self.state, signals, events, lengths,
                tokens[part], logits[part], counters, raster[part],
            )  # fmt: skip
            progress(tokens[part].size)
        if plan.integer:
            logits = (logits / fp.ONE).astype(np.float32)
        if not np.isfinite(logits).all():
            where = np.argwhere(~np.isfinite(logits))[0]
            raise UserError(f"logit {where[1]} of token {where[0]} is not finite: the weights or the state overflowed")
        return self.summarise(tokens.size, logits, counters, raster)

    def summarise(self, n_tokens: int, logits: np.ndarray, counters: np.ndarray, raster: np.ndarray) -> Result:
        """Name the counters of a run."""
        plan = self.plan
        n_in, n_out, e = (plan.field(name) for name in ("n_in", "n_out", "e"))
        matrices = tuple(
            MatrixCount(
                name, int(n_in[i]), int(n_out[i]), bool(plan.table[i, 0] == Op.EVENTS), int(counters[i, 0]), n_tokens
            )
            for i, name in enumerate(plan.names)
            if plan.table[i, 0] in (Op.EVENTS, Op.DENSE)
        )
        lifs = plan.rows(Op.LIF)
        populations = tuple(
            PopulationCount(plan.names[i], int(n_out[i]), int(counters[i, 1]), int(counters[i, 0]), n_tokens)
            for i in lifs
        )
        spikes = {plan.names[i]: raster[:, e[i] : e[i] + n_out[i]] for i in lifs} if len(raster) else {}
        return Result(logits, matrices, populations, spikes)
