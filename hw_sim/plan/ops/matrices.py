"""Matrices, by how much of them an input makes them look at."""

import numpy as np

from hw_sim.plan import fixed_point as fp
from hw_sim.plan.ops.operation import Op, Operation

SUMS, SPIKES = 1, 2  # marks of what skips zeros: it reads sums of spikes; spikes that it does not listen to


class Dense(Operation):
    """y = x W, every weight looked at."""

    op = Op.DENSE
    matrix = True

    def integer(self, given, x, z, state):
        return x @ given.matrix.astype(np.int64)

    def real(self, given, x, z, state):
        return x @ given.matrix

    def reach(self, given, x=0, z=0):
        return int(np.abs(given.matrix.astype(np.int64)).sum(axis=0).max()) * x


class Sparse(Dense):
    """y = x W, the weights of every x = 0 skipped; `shift` says what feeds it where that is not real numbers."""

    op = Op.SPARSE
    input_major = graded = True


class Listening:
    """A matrix or kernel of the spikes that it listens to."""

    listens, graded = True, False

    def integer(self, given, x, z, state):
        return super().integer(given, x // fp.ONE, z, state)

    def reach(self, given, x=0, z=0):
        return any_active(given.matrix)


class Events(Listening, Sparse):
    """y = the sum of the weight rows of the spikes; `shift` is 1 where zeros do not count."""

    op = Op.EVENTS


def any_active(matrix: np.ndarray) -> int:
    """The largest magnitude of a sum of rows of integers, whichever inputs are active."""
    up = np.maximum(matrix, 0).sum(axis=0, dtype=np.int64)
    down = np.minimum(matrix, 0).sum(axis=0, dtype=np.int64)
    return int(max(up.max(), -down.min()))
