"""The chip as a picture: how long each core works at a step, and the spike messages between tiles."""

from hw_sim.energy.page.state import Chart, State
from hw_sim.energy.schema import Told

APART = 0.14  # of a core's width: the two directions of a link are drawn beside each other


def chip(report: Told) -> Chart | None:
    """The first chip that the network was placed on and whose times are known."""
    site = next((c.site for c in report.chips if c.site.picture), None)
    if site is None or site.picture is None or site.placement is None or site.placement.speed is None:
        return None
    drawn, speed = site.picture, site.placement.speed
    rows: list[dict] = [
        {"kind": "core", "core": c.core, "x": c.x, "y": c.y, "us": c.busy_s * 1e6, "sent": c.sent, "taken": c.taken,
         "holds": c.holds}
        for c in drawn.cores
    ]  # fmt: skip
    middle = (drawn.side - 1) / 2
    for link in drawn.links:
        x, y, to_x, to_y = link.tiles
        beside_x, beside_y = APART * (to_y - y), APART * (to_x - x)
        rows.append({"kind": "link", "messages": link.messages,
                     "x": drawn.side * x + middle + beside_x, "x2": drawn.side * to_x + middle + beside_x,
                     "y": drawn.side * y + middle + beside_y, "y2": drawn.side * to_y + middle + beside_y})  # fmt: skip
    slowest = max(drawn.cores, key=lambda c: c.busy_s)
    mean = sum(c.busy_s for c in drawn.cores) / len(drawn.cores)
    title = (
        f"{site.chip}, {len(drawn.cores)} cores: core {slowest.core} works {slowest.busy_s * 1e6:,.1f} of the "
        f"{speed.step_s * 1e6:,.1f} µs of a mean step (modelled), all cores {mean * 1e6:,.1f} on average"
    )
    busiest = max((link.messages for link in drawn.links), default=0.0)
    text = (
        "; ".join(f"core {c.core}: {c.busy_s * 1e6:.1f} µs, {c.holds}" for c in drawn.cores)
        + f"; {len(drawn.links)} links, the busiest with {busiest:,.1f} spike messages a {report.unit}"
    )
    return Chart("chip", "chip", {"": State(title, text, rows)})
