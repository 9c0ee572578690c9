"""Synaptic operations on weights that are not zero, counted exactly from what every neuron fired."""

import numpy as np

from hw_sim.counts.counts import Counts
from hw_sim.plan import Op, Plan


def nonzero_operations(plan: Plan, counts: Counts) -> dict[str, int]:
    """By spike-fed matrix: the sum over its inputs of spikes times weights that are not zero.

    `Counts.synops` counts spikes times fan-out; after pruning, this is what hardware that skips zeros has to do.
    """
    n_in, n_out, w, e = (plan.field(name) for name in ("n_in", "n_out", "w", "e"))
    fired = {p.name: p.fired for p in counts.populations}
    spikes = {int(e[i]): fired[plan.names[i]] for i in plan.rows(Op.LIF)}
    found = {}
    for i in plan.rows(Op.EVENTS):
        weights = plan.weights[w[i] : w[i] + n_in[i] * n_out[i]].reshape(n_in[i], n_out[i])
        found[plan.names[i]] = int(np.count_nonzero(weights, axis=1) @ spikes[int(e[i])])
    return found
