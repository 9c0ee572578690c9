"""Slow numpy execution of a plan: the specification of the compiled loops, and what the Lava processes run.

A plan may be cut between rows: each part keeps its own state, and signals cross the cut. Needs numpy alone.
"""

import numpy as np

from hw_sim.plan.plan import Plan


class Interpreter:
    """Executes `rows` of a plan (default: all) token by token, keeping their state."""

    def __init__(self, plan: Plan, rows: np.ndarray | None = None):
        self.plan = plan
        self.rows = np.arange(len(plan.table)) if rows is None else rows
        self.signals = np.zeros(plan.n_signals, plan.state.dtype)
        self.state = plan.state.copy()
        self.spikes = np.zeros(plan.n_events, np.uint8)
        self.output: np.ndarray | None = None
        self.bound = {int(i): self._bind(int(i)) for i in self.rows}

    def step(self, token: int) -> np.ndarray | None:
        """One token: updates `signals`, `state` and `spikes`; returns the output (n,) if these rows give one."""
        for i in self.bound:
            self.execute(i, token)
        return self.output

    def execute(self, i: int, token: int) -> None:
        """Carry out row i."""
        operation, step, given, x, z, state, y = self.bound[i]
        result = step(given, token if x is None else x, z, state)
        if operation.writes:
            y[:] = result
        elif result is not None:
            self.output = result.copy()
        if operation.fires:
            self.spikes[given.row.e : given.row.e + len(y)] = y != 0

    def _bind(self, i: int) -> tuple:
        """Views of what row i works on."""
        operation, given = self.plan.operation(i), self.plan.given(i)
        x, z = (self.signals[low:high] for low, high in (*self.plan.read_by(i), (0, 0), (0, 0))[:2])
        state = self.state[self.plan.held(i)].reshape(-1, given.row.n_out)
        y = self.signals[given.row.y : given.row.y + given.row.n_out]
        step = operation.integer if self.plan.integer else operation.real
        return operation, step, given, x if operation.reads else None, z, state, y
