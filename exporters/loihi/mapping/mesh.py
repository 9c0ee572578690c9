"""Where cores lie and how messages travel: XY routing, first along x, then along y.

Chips are taken to stand in a row, their meshes joined at the east and west sides: a step from one to the next is
counted as a chip crossing, not as a hop.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from exporters.loihi.mapping.chip import Chip

Tile = tuple[int, int]  # x over all chips of the row, y


@dataclass(frozen=True)
class Hops:
    """Exact counts: hops of all messages by direction, messages to another chip and the borders they cross."""

    ew: int
    ns: int
    inter_chip_messages: int
    chip_crossings: int


def coordinates(chip: Chip, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chip, x over all chips, and y of places (n,), numbered chip by chip."""
    on = places // chip.cores
    tile = places % chip.cores // chip.cores_per_tile
    return on, on * chip.mesh_columns + tile // chip.mesh_rows, tile % chip.mesh_rows


def distances(chip: Chip, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hops E-W, hops N-S and chip borders between all pairs of places, (n, n) each."""
    on, x, y = coordinates(chip, places)
    borders, along_x, along_y = (np.abs(v[:, None] - v[None, :]) for v in (on, x, y))
    return along_x - borders, along_y, borders


def hops_of(traffic: np.ndarray, chip: Chip, places: np.ndarray) -> Hops:
    """Hops of traffic (cores, cores) int64, messages from row to column, with core i at places[i]."""
    ew, ns, borders = distances(chip, places)
    return Hops(
        int((traffic * ew).sum()),
        int((traffic * ns).sum()),
        int(traffic[borders > 0].sum()),
        int((traffic * borders).sum()),
    )


def links_of(traffic: np.ndarray, chip: Chip, places: np.ndarray) -> dict[tuple[Tile, Tile], int]:
    """Messages over every directed link between neighbouring tiles that carries any."""
    _, x, y = coordinates(chip, places)
    found: dict[tuple[Tile, Tile], int] = {}
    for source, target in np.argwhere(traffic):
        route = xy_route((int(x[source]), int(y[source])), (int(x[target]), int(y[target])))
        for link in pairwise(route):
            found[link] = found.get(link, 0) + int(traffic[source, target])
    return found


def xy_route(start: Tile, end: Tile) -> list[Tile]:
    """All tiles from start to end."""
    (x, y), route = start, [start]
    while x != end[0]:
        x += 1 if end[0] > x else -1
        route.append((x, y))
    while y != end[1]:
        y += 1 if end[1] > y else -1
        route.append((x, y))
    return route
