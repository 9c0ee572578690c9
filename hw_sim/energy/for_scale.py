"""Tables for scale, by which nothing is divided: this machine, compressors, published systems."""

from hw_sim.energy.host import Spread
from hw_sim.energy.schema import Report
from hw_sim.energy.tables import NONE, Table, number


def host(report: Report) -> Table:
    """What this machine took, a line a run and quantity."""
    units: dict[str, str] = {
        "seconds": "µs a token",
        "joules": "µJ a token, all counters",
        "net_joules": "µJ a token, without the idle machine",
    }
    rows = [
        [w.name, unit, *(f"{value * 1e6:,.4g}" for value in (spread.median, spread.low, spread.high))]
        for w in (report.host.workloads if report.host else ())
        for key, unit in units.items()
        if isinstance(spread := getattr(w, key), Spread)
    ]
    return Table(
        "host",
        "This machine (measured)",
        ["run", "quantity", "median", "lowest", "highest"],
        rows,
        f"{report.host.what}." if report.host else "",
        (1,),
    )


def compressors(report: Report) -> Table:
    """Classical compressors on the text that was read."""
    rows = [
        [c.name, c.settings, f"{c.alone:.3f}", number(c.after_training, ".3f")] for c in report.compressors
    ]  # fmt: skip
    return Table(
        "compressors",
        "Compressors on the same text, bits per byte (measured)",
        ["compressor", "settings", "the part alone", "after the training part"],
        rows,
        "For scale: a model has read its training text many times, a compressor once or never.",
        (1,),
    )


def systems(report: Report) -> Table:
    """Published figures; nothing is divided by them."""
    rows = [[s.system, s.network, s.figure, s.includes, s.grade, s.source or NONE] for s in report.systems]
    return Table(
        "systems",
        "Published figures of other systems, for context",
        ["system", "network", "figure", "includes", "grade", "source"],
        rows,
        "Other networks, tasks and boundaries of what was measured: not to be divided by any figure of this report.",
        (1, 2, 3, 4, 5),
    )
