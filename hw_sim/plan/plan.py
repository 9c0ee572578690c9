"""The plan: an ordered table of operations over flat buffers, in float32 or in integers.

It is what the simulator's compiled loop, the numpy interpreter and the Lava processes execute. Needs numpy alone.
"""

import hashlib
from dataclasses import dataclass, fields
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from spikegpt.arrays import read_arrays
from spikegpt.errors import UserError


class Op(IntEnum):
    """What one row of the table does; x, z, y, s, w, c are its offsets into signals, state, weights, constants."""

    EMBED = 0  # y = c[token]
    COPY = 1  # y = x
    ADD = 2  # y = x + z
    SCALE = 3  # y = x * c
    DELAY_READ = 4  # y = s
    DELAY_WRITE = 5  # s = x, after the DELAY_READ of s
    LAYER_NORM = 6
    LIF = 7  # y = spikes, and their addresses in the event list e; shift is 1 where no membrane outlasts its token
    EVENTS = 8  # y = sum of the weight rows of the addresses in the event list e; w is input-major
    DENSE = 9  # y = w x; w is output-major
    WKV = 10  # x = k, z = v, state (a, b, p)
    SIGMOID = 11
    SQUARED_RELU = 12
    MULTIPLY = 13  # y = x z
    OUTPUT = 14  # x is handed out
    SPARSE = 15  # y = sum of the weight rows of the non-zero x, times x; w is input-major


FIELDS = ("op", "x", "y", "n_in", "n_out", "w", "c", "s", "e", "shift", "z")


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
        return np.flatnonzero(self.table[:, 0] == op)

    def field(self, name: str) -> np.ndarray:
        """One column of the table, (rows,)."""
        return self.table[:, FIELDS.index(name)]

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
