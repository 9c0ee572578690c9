"""Energy along context, density and batch as pictures, with the report's own point and where curves meet."""

from typing import Any

from hw_sim.energy.page.state import Chart, State
from hw_sim.energy.schema import Report
from hw_sim.energy.summary import times

SWEEPS = {
    "context": "context of the Transformer, tokens",
    "rate": "density of the matrix inputs (share that spike)",
    "batch": "batch: streams that share weight reads",
}
SIDES = {"gpt_j": "Transformer", "continuous_j": "without spikes", "ours_j": "this model"}


def curves(report: Report) -> list[Chart]:
    """A picture of every sweep, a state for each column that prices this model and another along it."""
    found = []
    for name, axis in SWEEPS.items():
        states = {c.name: state for c in report.columns if (state := curve(report, name, c.name))}
        if states:
            found.append(Chart(f"sweep-{name}", "curve", states, {"axis": axis}))
    return found


def curve(report: Report, name: str, column: str) -> State | None:
    sweep = report.sweeps.get(name, {})
    sides = {
        side_name(key): [j * 1e6 for j in values[column]]
        for key, values in sweep.items()
        if key.endswith("_j") and column in values
    }
    mine = SIDES["ours_j"]
    if mine not in sides or len(sides) < 2:
        return None
    rows: list[dict[str, Any]] = [
        {"side": side, "x": x, "uj": uj}
        for side, values in sides.items()
        for x, uj in zip(sweep["x"], values, strict=True)
    ]
    marks: dict[str, float] = {"this report": report.measurement["density" if name == "rate" else name]}
    if name == "rate":
        limit = report.break_even.get(column)
        if limit and sweep["x"][0] <= limit <= sweep["x"][-1]:
            marks["break-even"] = limit
    rows += [
        {"mark": f"{text}: {x:,.3g}" if x < 1 else f"{text}: {x:,.0f}", "x": x, "row": 16 * i}
        for i, (text, x) in enumerate(marks.items())
        if x and sweep["x"][0] <= x <= sweep["x"][-1]
    ]
    title = density_title(report, column) if name == "rate" else ends_title(name, sweep["x"], sides)
    text = "; ".join(
        f"{side}: {values[0]:.3g} µJ at {sweep['x'][0]:,g}, {values[-1]:.3g} µJ at {sweep['x'][-1]:,g}"
        for side, values in sides.items()
    )
    return State(title, text, rows)


def side_name(key: str) -> str:
    return SIDES.get(key, key.removesuffix("_j").replace("_", " "))


def density_title(report: Report, column: str) -> str:
    limit, own = report.break_even.get(column), report.measurement["density"]
    if limit is None:
        return "No break-even density: these prices do not price the network without spikes"
    if limit >= 1:
        return "Spikes cost less at any density: these prices cannot favour the network without spikes"
    if limit <= 0:
        return "Spikes cost more at any density"
    return f"Spikes cost less than no spikes below a density of {limit:.2f}; this model has {own:.3f}"


def ends_title(name: str, xs: list[float], sides: dict[str, list[float]]) -> str:
    """Who is cheaper, from where on."""
    said = []
    mine = sides[SIDES["ours_j"]]
    for side, values in sides.items():
        if values is mine:
            continue
        ratio = [theirs / own for theirs, own in zip(values, mine, strict=True)]
        cross = next(
            (x for x, before, after in zip(xs[1:], ratio, ratio[1:], strict=False) if (before > 1) != (after > 1)), None
        )
        who = (
            "the Transformer"
            if side == SIDES["gpt_j"]
            else "the network without spikes"
            if side == SIDES["continuous_j"]
            else side
        )
        if cross is not None:
            said.append(f"{who} is {'cheaper' if ratio[-1] < 1 else 'dearer'} from {name} {cross:,g} on")
        elif abs(ratio[0] / ratio[-1] - 1) < 0.02:
            said.append(f"{who} takes {times(ratio[0])} as much whatever the {name}")
        else:
            said.append(
                f"{who} takes {times(ratio[0])} as much at {name} {xs[0]:,g} and {times(ratio[-1])} at {xs[-1]:,g}"
            )
    text = "; ".join(said)
    return text[:1].upper() + text[1:]
