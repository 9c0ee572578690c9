"""The energy report of a network of another tool in one call: run as it is, and in int8 as placed on a chip."""

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np

from exporters.loihi.mapping import CHIPS
from exporters.loihi.mapping.describe import footprint
from exporters.loihi.mapping.sites import declared_site, network_of, placed_sites
from exporters.loihi.mapping.timing import RECORDED
from hw_sim.counts.networks import are_events
from hw_sim.energy.measure import counted
from hw_sim.energy.network.report import INT8, NetworkReport, network_report, without_inputs
from hw_sim.energy.settings import Settings
from hw_sim.energy.work import Work
from hw_sim.graph.foreign import drive, with_input_neurons
from hw_sim.graph.quantize import quantize
from hw_sim.run.simulator import Simulator
from spikegpt.errors import UserError


def report_of_network(
    graph: nir.NIRGraph,
    inputs: np.ndarray,
    settings: Settings,
    *,
    spike_input: bool = False,
    placement: Path | None = None,
    provenance: dict[str, str] | None = None,
    **told: str,
) -> NetworkReport:
    """Run a network as `foreign.read_foreign` gives it on inputs (T, n), price it beside its twins, and place its
    integer plan on the chips that prices are of.

    `placement` is a mapping.json of it; else our mapping is taken. A network that cannot be lowered to integers is
    priced without a chip, and a note says why. `told` are the report's texts. Raises UserError where the inputs do not
    fit, or are said to be spikes and are none, and for a placement of another network.
    """
    events, notes = are_events(graph, inputs, spike_input)
    int8 = None
    try:
        int8, settings = _placed(graph, inputs, events, settings, placement)
    except UserError as error:
        if placement is not None:
            raise
        notes = (*notes, f"not placed on a chip: {error}")
    return network_report(graph, inputs, settings, events=events, int8=int8, notes=notes, provenance=provenance, **told)


def _placed(
    graph: nir.NIRGraph, inputs: np.ndarray, events: bool, settings: Settings, placement: Path | None
) -> tuple[Work, Settings]:
    """The work of the integer plan, and settings that say where it lies on the chips."""
    simulator = Simulator.from_nir(quantize(with_input_neurons(drive(graph, inputs, events))))
    counts = simulator.run(np.arange(len(inputs)))
    simulator.reset()
    spikes = simulator.run(np.arange(min(len(inputs), RECORDED)), record=True).spikes
    chips = {chip: footprint(simulator.plan, chip, counts, spikes) for chip in CHIPS} if spikes else {}
    sites = placed_sites(chips)
    if placement is not None:
        technologies = {p.technology for p in settings.priced.values()}
        sites |= declared_site(placement, network_of(simulator.plan, counts), technologies)
    work = without_inputs(counted(INT8, simulator.plan, counts))
    return work, replace(settings, footprints=tuple(f.facts for f in chips.values()), sites=sites)
