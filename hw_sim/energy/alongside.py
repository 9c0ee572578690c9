"""Tables of what stands beside the comparison: chips for spikes, this machine, compressors, published systems."""

from hw_sim.energy.host import Spread
from hw_sim.energy.schema import Report, Told
from hw_sim.energy.summary import microjoules
from hw_sim.energy.tables import NONE, Table, number


def chips(report: Told) -> Table:
    """Dynamic and static energy of the row that could be placed."""
    rows = [
        [c.column, c.row, c.prices_grade, number(c.site.cores or None), number(c.site.chips or None),
         microjoules(c.dynamic_j), microjoules(c.static_j), microjoules(c.total_j)]
        for c in report.chips
    ]  # fmt: skip
    rates = " or ".join(dict.fromkeys(f"{c.tokens_per_s:,g}" for c in report.chips))
    return Table(
        "chips",
        f"Chips for spikes: the body alone, µJ a {report.unit} (modelled)",
        ["prices", "model", "prices are", "cores", "chips", "dynamic", "static", "total"],
        rows,
        f"static: the power of all chips at an assumed rate of {rates} {report.unit}s a second. What a total leaves "
        "out stands in the next table; no other technology is compared with.",
        (1, 2),
    )


def chip_time(report: Told) -> Table:
    """How fast the chips are at most, and what a token or step takes then."""
    rows = [
        [c.column, p.how, f"{p.tokens_per_s:,.0f}", f"{p.latency_s * 1e6:,.0f}", microjoules(p.static_j),
         microjoules(p.total_j), f"{p.energy_delay_js * 1e12:,.4g}"]
        for c in report.chips
        for p in c.paces
    ]  # fmt: skip
    speeds = [c.site.placement.speed for c in report.chips if c.site.placement and c.site.placement.speed]
    note = "".join(
        f"Over {s.tokens:,} {report.unit}s: {s.steps_per_token} of the chip's steps each, of {s.step_s * 1e6:,.1f} µs "
        f"where one begins at each; the slowest core is {s.slowest_core}. Times: {s.source}; {s.grade}. Left out: "
        f"{'; '.join(s.left_out)}. "
        for s in speeds[:1]
    )
    return Table(
        "chip-time",
        "How fast the chips are at most (modelled)",
        ["prices", "use", f"{report.unit}s/s", "latency, µs", "static, µJ", "total, µJ", "energy x delay, µJ µs"],
        rows,
        note + "No times of Loihi 2's events are published.",
        (1,),
    )


def left_out(report: Told) -> Table:
    """What the chips do not run by themselves, and what their totals do not hold."""
    rows = [
        [c.column, f"{c.site.chip}, {c.site.how}", ", ".join(c.cannot_run) or "nothing", "; ".join(c.left_out)]
        for c in report.chips
    ]
    return Table(
        "chips-left-out",
        "What the chips' totals leave out",
        ["prices", "where it lies", "what its neurons do not run by themselves", "left out of the total"],
        rows,
        prose=(1, 2, 3),
    )


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
