"""A mapping as a picture's data: what every core has to do, and the spike messages on every link of the mesh."""

from math import ceil, sqrt

import numpy as np

from exporters.loihi.mapping.mapper import Mapping
from exporters.loihi.mapping.mesh import coordinates
from hw_sim.energy.chips import Core, Link, Picture


def picture_of(mapping: Mapping, busy: np.ndarray) -> Picture:
    """`busy` (cores,) are seconds of work at a mean step. Cores of a tile stand in a square, tiles on the mesh."""
    parts, chip, tokens = mapping.partition, mapping.chip, max(1, mapping.tokens)
    side = ceil(sqrt(chip.cores_per_tile))
    _, x, y = coordinates(chip, mapping.places)
    within = mapping.places % chip.cores % chip.cores_per_tile
    held: list[list[str]] = [[] for _ in range(parts.cores)]
    for block in parts.blocks:
        held[block.core].append(f"{mapping.groups[block.group].name}[{block.low}:{block.high}]")
    cores = tuple(
        Core(
            core=i,
            x=int(side * x[i] + within[i] % side),
            y=int(side * y[i] + within[i] // side),
            busy_s=float(busy[i]),
            sent=int(mapping.traffic[i].sum()) / tokens,
            taken=int(mapping.traffic[:, i].sum()) / tokens,
            holds=", ".join(held[i]),
        )
        for i in range(parts.cores)
    )
    links = tuple(
        Link(tiles=(*start, *end), messages=messages / tokens) for (start, end), messages in mapping.links.items()
    )
    return Picture(side=side, cores=cores, links=links)
