"""Tables of chips for spikes: what they take, how fast they are, what is left out, where the network lies."""

from hw_sim.energy.schema import Report, Told
from hw_sim.energy.summary import microjoules
from hw_sim.energy.tables import Table, number


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


def footprint(report: Told) -> Table:
    rows = [
        [
            f["chip"],
            *(number(f[k]) for k in ("cores", "chips", "synapses", "neurons")),
            *(number(f[f"{what}_per_token"]) for what in ("messages", "hops", "graded_messages")),
            f["note"],
        ]
        for f in report.footprint
    ]
    return Table(
        "footprint",
        "Our mapping of the int8 network onto chips, an estimate",
        [
            "chip",
            "cores",
            "chips",
            "synapses",
            "neurons",
            f"spike messages a {report.unit}",
            f"hops a {report.unit}",
            f"graded messages a {report.unit}",
            "note",
        ],
        rows,
        prose=(8,),
    )


def static(report: Report) -> Table:
    sweep = report.sweeps.get("token_rate", {})
    rows = [
        [name, number(sweep["chips"].get(report.profiles[name]["technology"])), *map(microjoules, values)]
        for name, values in sweep.get("static_j", {}).items()
    ]
    return Table(
        "static",
        "Static energy of all chips that hold the network, µJ a token, by tokens a second",
        ["prices", "chips", *(f"{x:,.0f}/s" for x in sweep.get("x", ()))],
        rows,
        "Power that is drawn whether or not tokens come. The chips' totals hold it at the rate that they name.",
    )
