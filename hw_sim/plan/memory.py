"""Memory of a plan's signals: a vector takes the place of one that is no longer read, so that all stay in cache."""

from collections.abc import Sequence

import numpy as np

from hw_sim.plan.ops import OPERATIONS, Op, Row

X, Y, Z = (Row._fields.index(name) for name in ("x", "y", "z"))


def reuse_signals(table: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, int]:
    """Move the vectors of signals that begin at `starts` (ending with the total size) so that their places are reused.

    Returns the table with new offsets and the signals it needs. Two vectors share a place only if no row touches
    both: what one row reads is never where it writes, and every vector is written before it is read.
    """
    first, last = np.full(len(starts), len(table)), np.full(len(starts), -1)
    used: list[tuple[int, int, int]] = []  # row, field, vector
    for i, row in enumerate(table):
        operation = OPERATIONS[Op(row[0])]
        touched = (*operation.reads, *(("y",) if operation.writes else ()))
        for field in map(Row._fields.index, touched):
            vector = int(np.searchsorted(starts, row[field], side="right")) - 1
            first[vector], last[vector] = min(first[vector], i), max(last[vector], i)
            used.append((i, field, vector))
    placed: list[tuple[int, int, int]] = []  # low, high, last row that touches it
    new = np.zeros(len(starts), np.int64)
    for vector in np.argsort(first[:-1], kind="stable"):
        if last[vector] < 0:
            continue
        size = int(starts[vector + 1] - starts[vector])
        placed = sorted(p for p in placed if p[2] >= first[vector])
        low = 0
        for taken_low, taken_high, _ in placed:
            if taken_low - low >= size:
                break
            low = max(low, taken_high)
        placed.append((low, low + size, int(last[vector])))
        new[vector] = low
    moved = table.copy()
    moved[:, [X, Y, Z]] = 0
    total = 0
    for i, field, vector in used:
        at = int(new[vector] + table[i, field] - starts[vector])
        moved[i, field] = at
        total = max(total, int(new[vector] + starts[vector + 1] - starts[vector]))
    return moved, total


def write_delays_early(rows: Sequence[Row]) -> list[int]:
    """The order of rows in which each DELAY_WRITE follows at once on its DELAY_READ and on what it stores."""
    made: dict[int, int] = {}
    read: dict[int, int] = {}
    after: dict[int, list[int]] = {i: [] for i in range(len(rows))}
    for i, row in enumerate(rows):
        if row.op == Op.DELAY_WRITE:
            stored = [made[at] for at in range(row.x, row.x + row.n_in)]
            after[max(read[row.s], *stored)].append(i)
            continue
        if OPERATIONS[Op(row.op)].writes:
            made.update(dict.fromkeys(range(row.y, row.y + row.n_out), i))
        if row.op == Op.DELAY_READ:
            read[row.s] = i
    return [k for i, row in enumerate(rows) if row.op != Op.DELAY_WRITE for k in (i, *after[i])]
