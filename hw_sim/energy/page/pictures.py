"""Pictures of plain figures, of whatever report: ratios as bands, energies as shares, operations as bars."""

from collections.abc import Mapping, Sequence
from typing import Any

from hw_sim.energy.page.state import Chart, State
from hw_sim.energy.schema import Column
from hw_sim.energy.summary import digits, listed, microjoules, times

Rivalry = tuple[str, Mapping[str, tuple[float, float, float]]]  # a rival, its ratios and their ranges by column
GROUPS = {  # term of the prices -> the part of a bar that it belongs to
    "accumulates": "arithmetic",
    "multiply-accumulates": "arithmetic",
    "ternary additions": "arithmetic",
    "neuron updates": "neuron updates and spikes",
    "spikes": "neuron updates and spikes",
    "messages": "messages and hops",
    "hops": "messages and hops",
    "memory": "memory and addressing",
    "addressing": "memory and addressing",
}
ORDER = (
    "arithmetic",
    "weight reads",
    "accumulator traffic",
    "element-wise",
    "state",
    "activations",
    "KV cache",
    "constants",
    "embedding",
    "neuron updates and spikes",
    "messages and hops",
    "memory and addressing",
)


def wrapped(text: str, width: int = 24) -> str:
    """Lines of at most `width` characters, for the label of an axis."""
    lines = [""]
    for word in text.split():
        lines[-1:] = [f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < width else [lines[-1], word]
    return "\n".join(lines)


def bands(found: Sequence[Rivalry], columns: Mapping[str, Column], own: str) -> State:
    """The ratios of rivals by column, with their ranges; `own` is what they are compared with."""
    rows = [
        {
            "rival": wrapped(name),
            "column": column,
            "profile": columns[column].profile,
            "precision": columns[column].precision,
            "ratio": s[0],
            "low": s[1],
            "high": s[2],
        }
        for name, spans in found
        for column, s in spans.items()
    ]
    text = "; ".join(
        f"{name}: " + ", ".join(f"{c} {times(s[0])} (from {digits(s[1])} to {digits(s[2])})" for c, s in spans.items())
        for name, spans in found
    )
    return State(tally([[s[0] for s in spans.values()] for _, spans in found], own), text, rows)


def tally(ratios_of: list[list[float]], own: str) -> str:
    """How many rivals cost more, and how many less, whatever the prices."""
    more, less = (sum(all(keep(x) for x in xs) for xs in ratios_of) for keep in (lambda x: x > 1, lambda x: x < 1))
    rest = len(ratios_of) - more - less
    said = [
        f"{n} cost{'s' * (n == 1)} {how}"
        for n, how in (
            (more, f"more than {own} at all prices"),
            (less, "less at all prices"),
            (rest, "more or less, by the prices"),
        )
        if n
    ]
    return (
        f"Of {len(ratios_of)} rivals, {listed(said)}"
        if len(ratios_of) > 1
        else f"The rival {said[0].partition(' ')[2]}"
    )


def grouped(terms_j: dict[str, float]) -> dict[str, float]:
    """Terms of the prices as the parts of a bar."""
    found: dict[str, float] = {}
    for term, joules in terms_j.items():
        part = GROUPS.get(term, term)
        found[part] = found.get(part, 0.0) + joules
    return dict(sorted(found.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


def shares(bars: Mapping[str, Mapping[str, float]], own: str, unit: str) -> State:
    """What share of each bar's joules its parts are; the title is of the bar `own`."""
    rows = [
        {
            "model": f"{wrapped(name)}\n{microjoules(sum(parts.values()))} µJ",
            "term": part,
            "uj": joules * 1e6,
            "order": i,
        }
        for name, parts in bars.items()
        for i, (part, joules) in enumerate(parts.items())
        if joules > 0
    ]
    mine = bars[own]
    first = max(mine, key=lambda part: mine[part])
    title = f"{mine[first] / sum(mine.values()):.0%} of the energy of {own} is {spoken(first)}"
    text = "; ".join(
        f"{name}, {microjoules(sum(parts.values()))} µJ a {unit}: "
        + ", ".join(f"{part} {joules / sum(parts.values()):.0%}" for part, joules in parts.items())
        for name, parts in bars.items()
    )
    return State(title, text, rows)


def spoken(part: str) -> str:
    return {"weight reads": "reading weights", "element-wise": "element-wise work", "state": "keeping state"}.get(
        part, part
    )


def work(rows: list[dict[str, Any]], outside: float, unit: str) -> Chart | None:
    """Operations by `layer` and `part`, `done` of `dense`; None without any."""
    done, dense = sum(r["done"] for r in rows), sum(r["dense"] for r in rows)
    if not dense:
        return None
    rows = rows + [{"layer": "outside matrices", "part": "element-wise", "done": outside, "dense": outside}] * bool(
        outside
    )
    layers: dict[str, float] = {}
    for r in rows:
        layers[r["layer"]] = layers.get(r["layer"], 0.0) + r["done"]
    most = max(layers, key=lambda name: layers[name])
    title = (
        f"{done / dense:.1%} of the matrices' dense operations are done; {most} does most, {layers[most]:,.0f} a {unit}"
    )
    text = "; ".join(f"{name}: {value:,.0f} operations a {unit}" for name, value in layers.items())
    return Chart("operations", "operations", {"": State(title, text, rows)}, {"axis": f"operations a {unit}"})
