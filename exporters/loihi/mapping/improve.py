"""Better places for cores: swaps of two, each time the one that saves most, until none saves anything.

The quadratic assignment problem by steepest descent: the same result every time, as nothing is drawn and the work, not
the time, is bounded.
"""

import numpy as np

from exporters.loihi.mapping.chip import Chip
from exporters.loihi.mapping.mesh import distances

CROSSING_HOPS = 16  # what a step to the next chip counts as, assumed: such links are slower and fewer
WORK = 400_000_000  # pairs looked at, at most: seconds


def improve(traffic: np.ndarray, chip: Chip, chips: int) -> np.ndarray:
    """Places (cores,) on so many chips for traffic (cores, cores) int64, starting from core i at place i.

    Least is the sum over messages of hops, a chip crossing counting as CROSSING_HOPS more.
    """
    n, size = len(traffic), chips * chip.cores
    at = np.arange(size)  # of cores, then of empty places
    ew, ns, borders = distances(chip, at)
    far = (ew + ns + CROSSING_HOPS * borders).astype(np.float64)  # whole numbers below 2^53: exact
    flow = np.zeros((size, size))
    flow[:n, :n] = traffic + traffic.T
    np.fill_diagonal(flow, 0)
    cost = flow @ far  # of core i at place p, all others standing
    for _ in range(WORK // (size * size) if n else 0):
        moved = cost[:, at]
        own = np.diag(moved)
        saved = own[:, None] + own[None, :] - moved - moved.T - 2 * flow * far[np.ix_(at, at)]
        i, j = np.unravel_index(np.argmax(saved), saved.shape)
        if saved[i, j] <= 0:
            break
        step = far[at[j]] - far[at[i]]
        cost += np.outer(flow[:, i], step) - np.outer(flow[:, j], step)
        at[[i, j]] = at[[j, i]]
    return at[:n]
