"""The energy report of a spike-driven shape at assumed densities: no checkpoint, no text, chips from its size."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.loihi.mapping.sites import declared_site, estimated_sites, network_of_shape
from hw_sim.energy.report import build
from hw_sim.energy.schema import Report, Shape
from hw_sim.energy.settings import Settings


def preset_report(
    shape: Shape,
    density: float | Mapping[str, float],
    settings: Settings,
    placement: Path | None = None,
    provenance: dict[str, Any] | None = None,
    *,
    elsewhere: bool = True,
) -> Report:
    """`density` is that of all matrix inputs or by part of a block; `placement` a mapping.json of such a network;
    `elsewhere`: at other contexts and batches too.

    Raises UserError for a placement of another network or of a chip that no profile prices.
    """
    sites = estimated_sites(shape)
    if placement:
        technologies = {p.technology for p in settings.priced.values()}
        sites |= declared_site(placement, network_of_shape(shape), technologies)
    settings = replace(settings, sites=sites)
    return build([], settings, what_if=(shape, density), provenance=provenance, elsewhere=elsewhere)
