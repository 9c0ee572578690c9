"""Slow numpy execution of an integer plan: the specification of the compiled loop, and what the Lava processes run.

A plan may be cut between rows: each part keeps its own state, and signals cross the cut. Needs numpy alone.
"""

import numpy as np

from hw_sim.plan import fixed_point as fp
from hw_sim.plan.plan import Op, Plan


class Interpreter:
    """Executes rows `first` to `last` of an integer plan token by token, keeping their state."""

    def __init__(self, plan: Plan, rows: np.ndarray | None = None):
        self.plan = plan
        self.rows = np.arange(len(plan.table)) if rows is None else rows
        self.signals = np.zeros(plan.n_signals, np.int64)
        self.state = plan.state.copy()
        self.spikes = np.zeros(plan.n_events, np.uint8)
        self.output: np.ndarray | None = None

    def step(self, token: int) -> np.ndarray | None:
        """One token: updates `signals`, `state` and `spikes`; returns the output (n,) int64 if these rows give one."""
        for row in self.rows:
            self.execute(self.plan.table[row].tolist(), token)
        return self.output

    def execute(self, row: list[int], token: int) -> None:
        """Carry out one row of the table."""
        op, x_at, y_at, n_in, n_out, w_at, c_at, s_at, e_at, shift, z_at = row
        signals, state = self.signals, self.state
        x, z = signals[x_at : x_at + n_in], signals[z_at : z_at + n_out]
        s = state[s_at : s_at + n_out]

        def constant(i: int, n: int = n_out) -> np.ndarray:
            return self.plan.constants[c_at + i * n : c_at + (i + 1) * n]

        def whole(i: int) -> np.ndarray:
            return constant(i).astype(np.int64)

        if op == Op.EMBED:
            y = whole(token)
        elif op == Op.COPY:
            y = x
        elif op == Op.ADD:
            y = x + z
        elif op == Op.SCALE:
            y = fp.scale(x, whole(0), shift)
        elif op == Op.DELAY_READ:
            y = s
        elif op == Op.DELAY_WRITE:
            s[:] = x
            return
        elif op == Op.LAYER_NORM:
            y = fp.layer_norm(x, whole(0), whole(1), int(self.plan.constants[c_at + 2 * n_out]))
        elif op == Op.LIF:
            spikes, s[:] = fp.lif(x, s, whole(0), whole(1))
            self.spikes[e_at : e_at + n_out] = spikes
            y = spikes * fp.ONE
        elif op in (Op.EVENTS, Op.DENSE, Op.SPARSE):
            weights = self.plan.weights[w_at : w_at + n_in * n_out].astype(np.int64)
            weights = weights.reshape(n_out, n_in).T if op == Op.DENSE else weights.reshape(n_in, n_out)
            y = (x // fp.ONE if op == Op.EVENTS else x) @ weights
        elif op == Op.WKV:
            a, b, p = (state[s_at + i * n_out : s_at + (i + 1) * n_out] for i in range(3))
            y, a[:], b[:], p[:] = fp.wkv(x, z, a, b, p, whole(0), whole(1))
        elif op == Op.SIGMOID:
            y = fp.sigmoid(x)
        elif op == Op.SQUARED_RELU:
            y = fp.squared_relu(x)
        elif op == Op.MULTIPLY:
            y = fp.multiply(x, z)
        else:
            self.output = x.copy()
            return
        signals[y_at : y_at + n_out] = y
