"""Where a network lies on the chips that the energy report prices: by our mapping, as declared, or from its shape."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from exporters.loihi.mapping.chip import CHIPS, load_chip
from exporters.loihi.mapping.describe import Footprint
from exporters.loihi.mapping.estimate import MATRICES, estimate
from hw_sim.counts.counts import Counts
from hw_sim.energy.chips import Picture, Site
from hw_sim.energy.placement import Placement, check_network, read_placement
from hw_sim.energy.schema import Shape
from hw_sim.energy.shapes import PARTS
from hw_sim.plan import Plan
from spikegpt.errors import UserError

Network = tuple[Mapping[str, int], int]  # neurons by LIF population; synapses that read spikes


def network_of(plan: Plan, counts: Counts) -> Network:
    """What of a plan a mapping places."""
    listening = [plan.row(i) for i in plan.matrices if plan.operation(i).listens]
    synapses = sum(row.n_in * row.n_out for row in listening)
    return {p.name: p.neurons for p in counts.populations}, synapses


def network_of_shape(shape: Shape) -> Network:
    """The same of a spike-driven SpikeGPT from its shape."""
    populations = {
        f"block{i}_{part}_lif": fan_in * shape.d for i in range(shape.n_layer) for part, (fan_in, _) in PARTS.items()
    }
    return populations, shape.n_layer * sum(a * b for a, b in MATRICES) * shape.d**2


def placed_sites(placed: Mapping[str, Footprint]) -> dict[str, Site]:
    """Sites of our mappings, by technology (a name of CHIPS); nothing for one that the network does not fit."""
    how = "placed by our mapper, an estimate"
    return {name: _site(name, f.placement, how, f.picture) for name, f in placed.items() if f.placement}


def estimated_sites(shape: Shape) -> dict[str, Site]:
    """Sites of a spike-driven shape, by technology, where there are no weights to place."""
    found = {}
    for name in CHIPS:
        chip = load_chip(name)
        if size := estimate(shape.n_layer, shape.d, chip):
            found[name] = Site(
                technology=name,
                chip=chip.name,
                how="at least, from the shape with 8-bit synapses",
                cores=size.cores,
                chips=size.chips,
                graded_values=chip.message_bits > 0,
            )
    return found


def declared_site(path: Path, network: Network, technologies: Iterable[str]) -> dict[str, Site]:
    """The site that a mapping.json declares. Raises UserError where it is of another network, or of a chip that none of
    the price profiles' `technologies` is."""
    placement = read_placement(path)
    check_network(placement, *network, str(path))
    name = placement.chip.lower().replace(" ", "").replace("-", "")
    known = {t.lower().replace("-", ""): t for t in technologies}
    if name not in known:
        raise UserError(
            f"{path}: a mapping onto {placement.chip}, which no profile prices (Intel has published no energy per "
            f"operation for Loihi 2); export with --chip loihi1"
        )
    return {known[name]: _site(known[name], placement, f"as {path.name} declares")}


def _site(technology: str, placement: Placement, how: str, picture: Picture | None = None) -> Site:
    graded = load_chip(technology).message_bits > 0 if technology in CHIPS else True
    return Site(
        technology=technology,
        chip=placement.chip,
        how=how,
        cores=placement.cores,
        chips=placement.chips,
        graded_values=graded,
        placement=placement,
        picture=picture,
    )
