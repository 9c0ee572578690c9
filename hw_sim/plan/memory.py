"""Memory of a plan's signals: a vector takes the place of one that is no longer read, so that all stay in cache."""

import numpy as np

from hw_sim.plan.plan import FIELDS, Op

X, Y, Z = (FIELDS.index(name) for name in ("x", "y", "z"))
READS_X = set(Op) - {Op.EMBED, Op.DELAY_READ}
READS_Z = {Op.ADD, Op.WKV, Op.MULTIPLY}
WRITES_Y = set(Op) - {Op.DELAY_WRITE, Op.OUTPUT}


def reuse_signals(table: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, int]:
    """Move the vectors of signals that begin at `starts` (ending with the total size) so that their places are reused.

    Returns the table with new offsets and the signals it needs. Two vectors share a place only if no row touches
    both: what one row reads is never where it writes, and every vector is written before it is read.
    """
    first, last = np.full(len(starts), len(table)), np.full(len(starts), -1)
    used: list[tuple[int, int, int]] = []  # row, field, vector
    for i, row in enumerate(table):
        for field, ops in ((X, READS_X), (Z, READS_Z), (Y, WRITES_Y)):
            if row[0] in ops:
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
