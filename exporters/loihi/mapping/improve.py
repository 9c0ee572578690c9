"""Better places for cores: swaps of two, core by core the one that saves most, until a round saves nothing.

Local search for the quadratic assignment problem. Nothing is drawn, and rounds, not seconds, are bounded: the result is
the same every time.
"""

import numpy as np

from exporters.loihi.mapping.chip import Chip
from exporters.loihi.mapping.mesh import distances

CROSSING_HOPS = 16  # what a step to the next chip counts as, assumed: such links are slower and fewer
ROUNDS = 100
SPARE = 256  # empty places looked at, so that a huge chip costs no more


def improve(traffic: np.ndarray, chip: Chip, chips: int) -> np.ndarray:
    """Places (cores,) on so many chips for traffic (cores, cores) int64, starting from core i at place i.

    Least is the sum over messages of hops, a chip crossing counting as CROSSING_HOPS more.
    """
    n = len(traffic)
    size = min(chips * chip.cores, n + SPARE)
    at = np.arange(size)  # of cores, then of empty places
    ew, ns, borders = distances(chip, at)
    far = (ew + ns + CROSSING_HOPS * borders).astype(np.float64)  # whole numbers below 2^53: exact
    flow = np.zeros((size, size))
    flow[:n, :n] = traffic + traffic.T
    np.fill_diagonal(flow, 0)
    cost, everyone = flow @ far, np.arange(size)  # cost of core i at place p, all others standing
    for _ in range(ROUNDS):
        before = at.copy()
        for i in range(n):
            own = cost[everyone, at]
            saved = own[i] + own - cost[i, at] - cost[:, at[i]] - 2 * flow[i] * far[at[i], at]
            j = int(np.argmax(saved))
            if saved[j] <= 0:
                continue
            felt = np.flatnonzero(flow[:, i] != flow[:, j])  # whose cost the swap changes
            cost[felt] += np.outer(flow[felt, i] - flow[felt, j], far[at[j]] - far[at[i]])
            at[[i, j]] = at[[j, i]]
        if np.array_equal(at, before):
            break
    return at[:n]
