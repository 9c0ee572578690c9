"""What every operation of a plan says of itself: what it reads and keeps, what it costs, its steps, its reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple

import numpy as np

Shape = tuple[int, ...]


class Op(IntEnum):
    """The number that stands for an operation in a table; stored plans hold it, so that it never changes."""

    EMBED = 0
    COPY = 1
    ADD = 2
    SCALE = 3
    DELAY_READ = 4
    DELAY_WRITE = 5
    LAYER_NORM = 6
    LIF = 7
    EVENTS = 8
    DENSE = 9
    WKV = 10
    SIGMOID = 11
    SQUARED_RELU = 12
    MULTIPLY = 13
    OUTPUT = 14
    SPARSE = 15
    IF = 16
    LI = 17
    OFFSET = 18
    CONV = 19
    CONV_EVENTS = 20
    POOL = 21


class Row(NamedTuple):
    """One row of a table: its operation, its widths, and where it begins in signals (x, y, z), weights (w), constants
    (c), state (s) and event lists (e)."""

    op: int
    x: int
    y: int
    n_in: int
    n_out: int
    w: int
    c: int
    s: int
    e: int
    shift: int
    z: int


@dataclass(frozen=True)
class Given:
    """What is fixed of a row: its `parameters` in the shapes that the operation names, its `matrix` (n_in, n_out)."""

    row: Row
    parameters: tuple[np.ndarray, ...]
    matrix: np.ndarray


class Operation:
    """What an operation is, as data, and its steps; the subclasses are the operations.

    A step gets x (n_in,) and z (n_out,), as far as it reads them, and the `state` (vectors, n_out), which it changes in
    place; it returns y (n_out,). `reach` is the largest magnitude that y of an integer plan can have for inputs up to
    x and z.
    """

    op: ClassVar[Op]
    reads: tuple[str, ...] = ("x",)  # the signals: x (n_in,), z (n_out,)
    writes = True  # leaves y in the signals
    fires = False  # y is spikes, whose addresses it leaves in the event list e: a population
    listens = False  # sums the weight rows of the addresses in the event list e; x holds the same spikes
    matrix = False  # has weights between its inputs and its outputs: n_in * n_out of them, or those of a kernel
    kernel = False  # its first parameter is the Geometry of a window, n_in and n_out follow from that
    whole = True  # has a step in integers
    input_major = False  # they lie by input, and those of a zero are skipped; else by output, and all are looked at
    graded = False  # in integers, what it does not skip are events: values that a neuron would send
    state_read = 0  # vectors of n_out values
    state_written = 0
    per_channel: ClassVar[Mapping[str, int]] = {}  # element-wise operations by kind
    per_node: ClassVar[Mapping[str, int]] = {}

    def elementwise(self, row: Row) -> dict[str, int]:
        """Element-wise operations of a token, by kind."""
        found = {kind: count * row.n_out for kind, count in self.per_channel.items()}
        return {kind: found.get(kind, 0) + self.per_node.get(kind, 0) for kind in {**found, **self.per_node}}

    def parameters(self, row: Row, integer: bool) -> tuple[Shape, ...]:
        """The shapes of its constants, in the order in which they lie."""
        return ()

    def weights(self, row: Row, constants: np.ndarray) -> int:
        """How many weights it has, `constants` being the plan's."""
        return row.n_in * row.n_out if self.matrix else 0

    def vectors(self, row: Row) -> int:
        """How many vectors of n_out values it keeps in the state."""
        return max(self.state_read, self.state_written)

    def looks_back(self, row: Row) -> bool:
        """Whether it reads what was kept at the token before."""
        return self.state_read > 0

    def integer(self, given: Given, x: Any, z: Any, state: Any) -> Any:
        raise NotImplementedError

    def real(self, given: Given, x: Any, z: Any, state: Any) -> Any:
        """The step in floats; the integer one where that neither rounds nor shifts."""
        return self.integer(given, x, z, state)

    def reach(self, given: Given, x: int = 0, z: int = 0) -> int:
        return x

    def inside(self, given: Given, x: Any, before: Any, after: Any) -> Mapping[str, np.ndarray]:
        """What fields of a chip hold besides y, by kind, of a step in integers from x and the state before to that
        after; nothing is saturated."""
        return {}


def largest(values: np.ndarray) -> int:
    """The largest magnitude among integers."""
    return int(np.abs(values.astype(np.int64)).max())
