"""The event-driven simulator: runs a lowered network from its `.nir` graph and counts what it does."""

import os
from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np

from hw_sim.counts.counts import Result, count
from hw_sim.graph.files import read
from hw_sim.graph.to_plan import build
from hw_sim.plan import Plan
from hw_sim.plan.checks import check_accumulators, check_finite
from hw_sim.run.pipeline import Pipeline, run_rows
from spikegpt import files
from spikegpt.arrays import read_arrays
from spikegpt.errors import UserError

CHUNK = 128  # tokens between two reports of progress
WEIGHTS_PER_THREAD = 1 << 20  # bytes; less work than that is not worth a thread
NO_RASTER = np.zeros((0, 0), np.uint8)


class Simulator:
    """One stream through a plan; the state carries over from run to run until `reset`.

    `position` is how many tokens it was fed since its state was set.
    `threads` work on the stream as a pipeline (default: as many as there are cores, fewer for small networks); results
    do not depend on their number.
    """

    def __init__(self, plan: Plan, threads: int | None = None):
        (check_accumulators if plan.integer else check_finite)(plan)
        self.plan = plan
        self.threads = threads or max(1, min(len(os.sched_getaffinity(0)), plan.weights.nbytes // WEIGHTS_PER_THREAD))
        rows = (i for i in range(len(plan.table)) if plan.operation(i).state_read)
        self.held = tuple((plan.names[i], plan.held(i)) for i in rows)
        self.firing = [p.row for p in plan.populations]  # rows whose second counter is faults
        self.pipeline, self.balanced = Pipeline(plan, self.threads), self.threads == 1
        self.reset()

    @classmethod
    def from_nir(cls, source: str | Path | nir.NIRGraph, threads: int | None = None) -> "Simulator":
        """Load a `.nir` file or take a graph; raises UserError when it cannot be run."""
        graph = source if isinstance(source, nir.NIRGraph) else read(source)
        return cls(build(graph), threads)

    def reset(self) -> None:
        """Return to the state before the first token."""
        self.state, self.position = self.plan.state.copy(), 0

    def run(
        self, tokens: np.ndarray, *, record: bool = False, progress: Callable[[int], None] = lambda done: None
    ) -> Result:
        """Feed tokens (T,) through the network, continuing from the current state.

        `record` keeps all spikes; `progress` is told the tokens done since it was last called.
        Raises UserError on a token out of range, and, naming node and token, on numbers that are not finite. After any
        exception state and position are those before the call.
        """
        plan, tokens = self.plan, np.ascontiguousarray(tokens, np.int64)
        if tokens.ndim != 1 or not tokens.size:
            raise UserError(f"tokens have shape {tokens.shape}; one text of at least one token is needed")
        if tokens.min() < 0 or tokens.max() >= plan.n_vocab:
            bad = tokens[(tokens < 0) | (tokens >= plan.n_vocab)][0]
            raise UserError(f"token {bad} is out of range: the vocabulary holds 0 to {plan.n_vocab - 1}")
        if not plan.integer:
            self._check_state()
        before = self.state.copy(), self.position
        try:
            return self._run(tokens, record, progress)
        except BaseException:
            self.state, self.position = before
            raise

    def _run(self, tokens: np.ndarray, record: bool, progress: Callable[[int], None]) -> Result:
        plan = self.plan
        logits = np.empty((tokens.size, plan.width), np.float32)
        raster = np.zeros((tokens.size if record else 0, plan.n_events), np.uint8)
        counters, fired = np.zeros((len(plan.table), 2), np.int64), np.zeros(plan.n_events, np.int64)
        fired_now = np.zeros(plan.n_events, np.uint16)  # small, so that it stays in cache; CHUNK fits it
        for low in range(0, tokens.size, CHUNK):
            part = slice(low, low + CHUNK)
            before = self.state.copy()
            new = self.pipeline.run(self.state, tokens[part], logits[part], fired_now, raster[part])
            counters += new
            fired += fired_now
            fired_now[:] = 0
            if not self.balanced and tokens.size > CHUNK:
                self.pipeline.divide(new[:, 0] / CHUNK)
                self.balanced = True
            if not plan.integer:
                faults = new[self.firing, 1].any()
                if faults or not (np.isfinite(logits[part]).all() and np.isfinite(self.state).all()):
                    self._blame(before, tokens[part])
            self.position += tokens[part].size
            progress(tokens[part].size)
        counts = count(plan, tokens.size, counters, fired)
        return Result(counts.matrices, counts.populations, logits, plan.trains(raster) if record else {})

    def _check_state(self) -> None:
        """Raises UserError naming the node whose state somebody set to what is not finite."""
        for name, place in self.held:
            if not np.isfinite(self.state[place]).all():
                raise UserError(f"node {name!r}: its state is not finite before token {self.position}")

    def _blame(self, state: np.ndarray, tokens: np.ndarray) -> None:
        """Repeat tokens whose numbers were not finite, row by row; raises UserError naming the first node.

        `state` is that before them and moves on.
        """
        plan = self.plan
        signals, fired, raster = np.zeros(plan.n_signals, np.float32), np.zeros(plan.n_events, np.uint16), NO_RASTER
        events, lengths = np.zeros(plan.n_events, np.int32), np.zeros(plan.n_events + 1, np.int64)
        for t in range(tokens.size):
            for i, name in enumerate(plan.names):
                row = plan.row(i)
                logits = np.zeros((1, row.n_out), np.float32)
                counters = run_rows(
                    plan, [i], state, signals, events, lengths, tokens[t : t + 1], logits, fired, raster
                )
                touched = signals[row.y : row.y + row.n_out], state[plan.held(i)], logits
                faults = i in self.firing and counters[0, 1]
                if faults or not all(np.isfinite(values).all() for values in touched):
                    raise UserError(
                        f"node {name!r} gave a number that is not finite at token {self.position + t}: its weights, "
                        f"its input or its state are too large for float32"
                    )
        raise AssertionError("a number that was not finite did not come up again")

    def save_state(self, path: str | Path) -> None:
        """Write the state to an `.npz`, to go on from later with `load_state`."""
        plan = np.array(self.plan.digest)
        files.write(Path(path), lambda file: np.savez(file, state=self.state, plan=plan), signed=True)

    def load_state(self, path: str | Path) -> None:
        """Go on from a stored state. Raises UserError when it is no state, or that of another network."""
        stored = read_arrays(path)
        if not {"state", "plan"} <= stored.keys():
            raise UserError(f"{path}: not a stored state; it holds {', '.join(stored) or 'one array'}")
        state = stored["state"]
        if str(stored["plan"]) != self.plan.digest:
            raise UserError(f"{path}: the state of another network, or of this one at another precision")
        if state.dtype.kind not in "fi" or state.shape != self.state.shape or not np.isfinite(state).all():
            raise UserError(f"{path}: the state is damaged: numbers are missing or not finite")
        self.state, self.position = state.astype(self.plan.state.dtype), 0
