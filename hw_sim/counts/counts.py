"""What a run gives: logits, and exact counts by matrix and by population that add up over runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hw_sim.plan import Plan
from hw_sim.plan.ops.matrices import SPIKES, SUMS


@dataclass(frozen=True)
class MatrixCount:
    """Work of one matrix over a run, exact integers.

    `active_inputs` are spikes where the structure makes every input a spike (`spike_fed`), integer events where an
    integer plan skips the zeros of its input (`graded`), else non-zero reals; operations done are active_inputs *
    fan_out: accumulates in the first case, multiply-accumulates in the others. `skipped` are those on the zeros of a
    matrix that the plan marks as sparse; the simulator reads whole rows all the same, `rows_read` weights.
    """

    name: str
    fan_in: int
    fan_out: int
    spike_fed: bool
    active_inputs: int
    tokens: int
    graded: bool = False
    skipped: int = 0
    taps: int | None = None  # connections of a kernel, which are fewer than those of a matrix

    @property
    def connections(self) -> int:
        """Pairs of an input and an output that it joins."""
        return self.fan_in * self.fan_out if self.taps is None else self.taps

    @property
    def dense(self) -> int:
        return self.tokens * self.connections

    @property
    def effective(self) -> int:
        return self.rows_read - self.skipped

    @property
    def rows_read(self) -> int:
        return self.active_inputs * self.fan_out

    @property
    def density(self) -> float:
        """Share of inputs that were active."""
        return self.active_inputs / (self.tokens * self.fan_in) if self.tokens else 0.0


@dataclass(frozen=True, eq=False)
class PopulationCount:
    """Work of one population over a run: `fired` (n,) int64 are spikes by neuron; `active` updates had a non-zero
    input, the other updates were idle."""

    name: str
    fired: np.ndarray
    active: int
    tokens: int

    @property
    def neurons(self) -> int:
        return self.fired.size

    @property
    def spikes(self) -> int:
        return int(self.fired.sum())

    @property
    def updates(self) -> int:
        return self.neurons * self.tokens

    @property
    def rates(self) -> np.ndarray:
        """Spikes a token by neuron, (n,)."""
        return self.fired / max(1, self.tokens)

    @property
    def dead(self) -> int:
        """Neurons that never fired."""
        return int((self.fired == 0).sum())

    @property
    def saturated(self) -> int:
        """Neurons that fired at every token."""
        return int((self.fired == self.tokens).sum())


@dataclass(frozen=True)
class Counts:
    """The counters of a run."""

    matrices: tuple[MatrixCount, ...]
    populations: tuple[PopulationCount, ...]

    @property
    def tokens(self) -> int:
        """Tokens of the run; 0 where there is nothing that counts."""
        return next((m.tokens for m in self.matrices), next((p.tokens for p in self.populations), 0))

    @property
    def spike_counts(self) -> dict[str, int]:
        """Spikes by population."""
        return {p.name: p.spikes for p in self.populations}

    @property
    def synops(self) -> int:
        """Binary synaptic operations: spikes * fan-out over the matrices that read spikes, less what is skipped."""
        return sum(m.effective for m in self.matrices if m.spike_fed)

    @property
    def macs(self) -> int:
        """Multiply-accumulates done on real inputs: non-zero ones * fan-out."""
        return sum(m.effective for m in self.matrices if not m.spike_fed and not m.graded)

    @property
    def graded(self) -> int:
        """Synaptic operations on integer events: multiply-accumulates too, but driven by events as `synops` are."""
        return sum(m.effective for m in self.matrices if m.graded)

    @property
    def dense(self) -> int:
        """Operations of the same matrices with no zero skipped."""
        return sum(m.dense for m in self.matrices)


@dataclass(frozen=True, repr=False)
class Result(Counts):
    """Counts, logits (T, V) float32 and, if asked for, the spikes by population (T, n) uint8."""

    logits: np.ndarray
    spikes: dict[str, np.ndarray]

    def __repr__(self) -> str:  # matrix by matrix it fills screens
        graded = f" + {self.graded:,} graded" if self.graded else ""
        done = f"{self.synops:,} binary SynOps{graded} + {self.macs:,} MACs of {self.dense:,} dense operations"
        held = f"{len(self.matrices)} matrices, {len(self.populations)} populations, logits {self.logits.shape}"
        return f"Result({len(self.logits):,} tokens: {done}, {sum(self.spike_counts.values()):,} spikes; {held})"


@dataclass(frozen=True)
class Score:
    """What texts cost and how well they were predicted: `nats` over `predicted` tokens, all after the first of each."""

    nats: float
    predicted: int
    counts: Counts


def spike_fed(plan: Plan, i: int) -> bool:
    """Whether structure makes every input of row i, a matrix, a spike: it listens to a population, or reads what a
    Delay kept of one."""
    operation = plan.operation(i)
    return operation.listens or (operation.input_major and plan.row(i).shift == SPIKES)


def fan_outs(plan: Plan, i: int) -> np.ndarray:
    """The operations that a spike costs in row i, a matrix that listens, by input (n_in,): its weights, or, where the
    plan marks it as sparse, those that are not zero."""
    if plan.operation(i).kernel:
        return plan.geometry(i).fans()
    matrix = plan.matrix(i)
    return np.count_nonzero(matrix, axis=1) if plan.row(i).shift else np.full(len(matrix), matrix.shape[1])


def _skipped(plan: Plan, i: int, counters: np.ndarray, fired: np.ndarray) -> int:
    """Operations of whole rows that row i, a matrix, does not do, for spikes by neuron: on weights of zero, or on
    outputs that a kernel does not reach."""
    if not plan.operation(i).listens:
        return int(counters[i, 0]) * plan.row(i).n_out - int(counters[i, 1]) if plan.operation(i).kernel else 0
    return int((plan.row(i).n_out - fan_outs(plan, i)) @ fired[plan.listened(i).place])


def count(plan: Plan, tokens: int, counters: np.ndarray, fired: np.ndarray) -> Counts:
    """Name the counters of a run: (rows, 2) int64 by row of the table, (n_events,) int64 by neuron."""
    matrices = tuple(
        MatrixCount(
            plan.names[i],
            plan.row(i).n_in,
            plan.row(i).n_out,
            spike_fed(plan, i),
            int(counters[i, 0]),
            tokens,
            graded=plan.operation(i).graded and (plan.row(i).shift == SUMS or plan.integer) and not spike_fed(plan, i),
            skipped=_skipped(plan, i, counters, fired),
            taps=int(plan.geometry(i).fans().sum()) if plan.operation(i).kernel else None,
        )
        for i in plan.matrices
    )
    populations = tuple(
        PopulationCount(p.name, fired[p.place].copy(), int(counters[p.row, 0]), tokens) for p in plan.populations
    )
    return Counts(matrices, populations)


def merge(parts: Sequence[Counts]) -> Counts:
    """The counts of several runs of one plan as those of one; exact, and in any order the same."""
    matrices = tuple(
        replace(
            same[0],
            active_inputs=sum(m.active_inputs for m in same),
            tokens=sum(m.tokens for m in same),
            skipped=sum(m.skipped for m in same),
        )
        for same in zip(*(p.matrices for p in parts), strict=True)
    )
    populations = tuple(
        PopulationCount(
            same[0].name,
            np.sum([p.fired for p in same], axis=0),
            sum(p.active for p in same),
            sum(p.tokens for p in same),
        )
        for same in zip(*(p.populations for p in parts), strict=True)
    )
    return Counts(matrices, populations)


def nonzero_operations(plan: Plan, counts: Counts) -> dict[str, int]:
    """By spike-fed matrix: the sum over its inputs of spikes times weights that are not zero.

    `Counts.synops` skips zeros in the matrices alone that the plan marks as sparse; this is what hardware that skips
    them all has to do.
    """
    fired = {p.name: p.fired for p in counts.populations}
    return {
        plan.names[i]: int(np.count_nonzero(plan.matrix(i), axis=1) @ fired[plan.listened(i).name])
        for i in plan.matrices
        if plan.operation(i).listens
    }
