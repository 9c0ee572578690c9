"""The plan: an ordered table of operations over flat buffers, in float32 or in integers.

It is what the simulator's compiled loop, the numpy interpreter and the Lava processes execute. Needs numpy alone.
"""

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from hw_sim.plan.ops import OPERATIONS, Given, Op, Operation, Row
from hw_sim.plan.ops.spatial import Geometry, unrolled
from spikegpt.arrays import read_arrays
from spikegpt.errors import UserError

FIELDS = Row._fields
UNROLLED = 1 << 27  # weights that a kernel may have as a matrix


@dataclass(frozen=True)
class Population:
    """Spiking neurons: their name, the row of the table that updates them, and where they lie among all neurons."""

    name: str
    row: int
    first: int
    neurons: int

    @property
    def place(self) -> slice:
        """Its columns in a raster (T, n_events)."""
        return slice(self.first, self.first + self.neurons)


@dataclass(frozen=True)
class Plan:
    """Operations in execution order and everything they read.

    `names[i]` is the NIR node of row i of `table` (rows, len(FIELDS)) int64; `weights` are the matrices;
    `constants` every other parameter; `state` is the state before the first token. `integer` plans carry int8
    weights, int64 signals and state, and int32 constants.
    """

    names: tuple[str, ...]
    table: np.ndarray
    weights: np.ndarray
    constants: np.ndarray
    state: np.ndarray
    n_signals: int
    n_events: int
    n_vocab: int
    integer: bool

    def rows(self, op: Op) -> np.ndarray:
        """Indices of the rows with this operation."""
        # As an int: numpy asks an enum's class for methods by code in Python, and drops what a signal raises in there.
        return np.flatnonzero(self.table[:, 0] == int(op))

    def field(self, name: str) -> np.ndarray:
        """One column of the table, (rows,)."""
        return self.table[:, FIELDS.index(name)]

    def row(self, i: int) -> Row:
        return Row(*self.table[i].tolist())

    def operation(self, i: int) -> Operation:
        """What row i does."""
        return OPERATIONS[Op(self.table[i, 0])]

    def matrix(self, i: int) -> np.ndarray:
        """The weights of row i as (n_in, n_out), a view, or a kernel unrolled; (0, 0) where it has none."""
        row, operation = self.row(i), self.operation(i)
        if not operation.matrix:
            return self.weights[:0].reshape(0, 0)
        flat = self.weights[row.w : row.w + operation.weights(row, self.constants)]
        if operation.kernel:
            if row.n_in * row.n_out > UNROLLED:
                n = f"{row.n_in * row.n_out:,}"
                raise UserError(f"node {self.names[i]!r}: as a matrix its kernel has {n} weights, over {UNROLLED:,}")
            return unrolled(flat, self.geometry(i))
        return flat.reshape(row.n_in, row.n_out) if operation.input_major else flat.reshape(row.n_out, row.n_in).T

    def parameters(self, i: int) -> tuple[np.ndarray, ...]:
        """The constants of row i as views, in the shapes and order that its operation names."""
        row, found = self.row(i), []
        at = row.c
        for shape in self.operation(i).parameters(row, self.integer):
            found.append(self.constants[at : at + prod(shape)].reshape(shape))
            at += prod(shape)
        return tuple(found)

    def geometry(self, i: int) -> Geometry:
        """The window of row i, a convolution or a pool."""
        return Geometry.of(self.constants[self.row(i).c :])

    def given(self, i: int) -> Given:
        """What is fixed of row i."""
        return Given(self.row(i), self.parameters(i), self.matrix(i))

    def held(self, i: int) -> slice:
        """Where in the state the vectors of row i lie; empty where it keeps none."""
        row, operation = self.row(i), self.operation(i)
        return slice(row.s, row.s + operation.vectors(row) * row.n_out)

    @cached_property
    def matrices(self) -> tuple[int, ...]:
        """The rows that are matrices."""
        return tuple(i for i in range(len(self.table)) if self.operation(i).matrix)

    @cached_property
    def populations(self) -> tuple[Population, ...]:
        """The populations in the order of their rows, which is that of their neurons."""
        rows = [i for i in range(len(self.table)) if self.operation(i).fires]
        return tuple(Population(self.names[i], i, self.row(i).e, self.row(i).n_out) for i in rows)

    def listened(self, i: int) -> Population:
        """The population whose spikes row i, a matrix that listens, sums the weights of."""
        return next(p for p in self.populations if p.first == self.row(i).e)

    def driven(self, i: int) -> Population | None:
        """The first population whose input is all that row i leaves at its y."""
        made = self.row(i)
        return next((p for p in self.populations if p.row in self.readers[i] and self.row(p.row).x == made.y), None)

    def trains(self, raster: np.ndarray) -> dict[str, np.ndarray]:
        """The spikes of every population (T, n), cut out of those of all neurons (T, n_events)."""
        return {p.name: raster[:, p.place] for p in self.populations}

    @property
    def width(self) -> int:
        """Values that the plan puts out at every token."""
        (output,) = self.rows(Op.OUTPUT)
        return self.row(output).n_out

    @cached_property
    def reads(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """By row, by operand (x, then z): the rows whose vectors it reads; those of a token alone, not through a state.

        Rows share the memory of signals, so that it is the last writer of each that counts.
        """
        writer: np.ndarray = np.full(self.n_signals, -1)
        found = []
        for i in range(len(self.table)):
            row, operation = self.row(i), self.operation(i)
            found.append(tuple(tuple(np.unique(writer[low:high]).tolist()) for low, high in self.read_by(i)))
            if operation.writes:
                writer[row.y : row.y + row.n_out] = i
        return tuple(found)

    def read_by(self, i: int) -> tuple[tuple[int, int], ...]:
        """Where the signals lie that row i reads: (from, to) by operand."""
        row = self.row(i)
        places = {"x": (row.x, row.x + row.n_in), "z": (row.z, row.z + row.n_out)}
        return tuple(places[operand] for operand in self.operation(i).reads)

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """By row: the rows that read its vector, or a part of it."""
        found: list[list[int]] = [[] for _ in self.table]
        for i, operands in enumerate(self.reads):
            for k in sorted({k for rows in operands for k in rows if k >= 0}):
                found[k].append(i)
        return tuple(map(tuple, found))

    @property
    def digest(self) -> str:
        """sha256 over everything the plan holds; a state belongs to one plan."""
        found = hashlib.sha256()
        for array in (self.table, self.weights, self.constants, self.state):
            found.update(np.ascontiguousarray(array).data)
        found.update("\n".join(self.names).encode())
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Write the plan as an uncompressed `.npz` without pickles."""
        arrays: dict[str, Any] = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read what `save` wrote. Raises UserError when the file is something else, or rows reach beyond buffers."""
        from hw_sim.plan.valid import check_rows

        values: dict[str, Any] = read_arrays(path)
        try:
            values = {f.name: values[f.name] for f in fields(cls)}
            values["names"] = tuple(map(str, values["names"].tolist()))
            for name in ("n_signals", "n_events", "n_vocab"):
                values[name] = int(values[name])
            values["integer"] = bool(values["integer"])
            plan = cls(**values)
            check_rows(plan)
        except UserError as error:
            raise UserError(f"{path}: not a plan that can be run: {error}") from error
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise UserError(f"{path}: not a stored plan ({error})") from error
        return plan
