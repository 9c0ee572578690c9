"""The buffers of a plan, filled from arrays where a graph holds them: each is read and converted once, slab by slab."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hw_sim.graph.files import forget
from spikegpt.errors import UserError

SLAB = 1 << 18  # values converted at a time, to bound memory


@dataclass(frozen=True)
class Piece:
    """Part of a buffer: a node's array and what its values become."""

    name: str
    values: np.ndarray
    convert: Callable[[np.ndarray], np.ndarray]


def filled(pieces: list[Piece], number: type) -> np.ndarray:
    """The pieces one after the other, as a flat array of this type. Raises UserError on integers beyond 32 bits."""
    found: np.ndarray = np.empty(sum(piece.values.size for piece in pieces), number)
    at = 0
    for piece in pieces:
        values = np.atleast_1d(piece.values)
        place = found[at : at + values.size].reshape(values.shape)
        if not values.flags.c_contiguous:  # in the order in which they lie in the file
            values, place = values.T, place.T
        rows = max(1, SLAB // max(1, values[0].size))
        for low in range(0, len(values), rows):
            slab = piece.convert(values[low : low + rows])
            if number == np.int32 and (largest := np.abs(slab).max()) > np.iinfo(np.int32).max:
                raise UserError(f"node {piece.name!r}: parameter {largest:.0f} exceeds 32 bits; scale it down")
            place[low : low + rows] = slab
            forget(values)
        at += place.size
    return found
