"""How neurons fire, as pictures: a histogram of rates and a raster of spikes."""

from itertools import pairwise

from hw_sim.energy.page.state import Chart, State
from hw_sim.energy.schema import RATE_EDGES, Activity, Told

POPULATIONS = 40  # shown at most


def shown(report: Told) -> list[Activity]:
    """All populations, or of many those with most silent and saturated neurons."""
    found = list(report.activity)
    if len(found) > POPULATIONS:
        kept = sorted(found, key=lambda a: -(a.dead_count + a.saturated_count))[:POPULATIONS]
        found = [a for a in found if a in kept]
    return found


def bins() -> list[str]:
    inner = [f"{low:.1%} to {high:.1%}".replace(".0%", "%") for low, high in pairwise(RATE_EDGES)]
    return ["never", *inner, "always"]


def rates(report: Told) -> Chart | None:
    """Histogram of firing rates of each population; dead and saturated neurons have cells of their own."""
    if not report.activity:
        return None
    rows = [
        {"population": a.name, "bin": name, "neurons": count, "share": count / a.neurons}
        for a in shown(report)
        for name, count in zip(bins(), a.histogram, strict=True)
    ]
    total, dead, saturated = (
        sum(getattr(a, k) for a in report.activity) for k in ("neurons", "dead_count", "saturated_count")
    )
    title = f"{dead:,} of {total:,} neurons never fire ({dead / total:.1%}), {saturated:,} always do"
    if len(shown(report)) < len(report.activity):
        title += f"; the {POPULATIONS} of {len(report.activity)} populations with most of them"
    text = "; ".join(
        f"{a.name}: mean rate {a.rate:.3f}, {a.dead_count} of {a.neurons} dead, {a.saturated_count} saturated"
        for a in shown(report)
    )
    return Chart(
        "rates",
        "rates",
        {"": State(title, text, rows)},
        {"axis": f"share of {report.unit}s at which a neuron fires"},
    )


def raster(report: Told) -> Chart | None:
    """Spikes of a few neurons of each population at the first tokens or steps."""
    found = [a for a in shown(report) if a.sampled]
    if not found:
        return None
    rows = [
        {"population": a.name, "at": at, "neuron": neuron, "slot": a.sampled.index(neuron)}
        for a in found
        for at, neuron in a.raster
    ]
    shown_of, neurons = found[0].raster_tokens, sum(len(a.sampled) for a in found)
    title = f"{len(rows):,} spikes of {neurons} sampled neurons at the first {shown_of} {report.unit}s: "
    title += f"{len(rows) / (neurons * shown_of):.1%} of all that could be"
    text = "; ".join(f"{a.name}: {len(a.raster)} spikes of {len(a.sampled)} neurons" for a in found)
    return Chart("raster", "raster", {"": State(title, text, rows)}, {"axis": report.unit})
