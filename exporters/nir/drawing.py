"""One block of a graph as an SVG: time flows down, every node stands below what it reads."""

from graphlib import TopologicalSorter
from html import escape
from typing import Any

import nir

from hw_sim.graph.wiring import Wiring
from spikegpt.errors import UserError

BOX, TALL, GAP_X, GAP_Y, MARGIN = 168, 38, 18, 40, 24  # pixels
# Fill by kind: puts out spikes, matrix that reads spikes, matrix that reads real numbers, everything else.
FILLS = {"spikes": "#fde2c4", "spike-fed matrix": "#cfe8cf", "real-fed matrix": "#d5e3f5", "real-valued": "#f2f2f2"}


def draw(graph: nir.NIRGraph, block: str, nodes: list[dict[str, Any]]) -> str:
    """SVG text of the nodes of `block` as `summary.describe` lists them; dashed boxes are what the block reads.

    Raises UserError when it has no nodes.
    """
    if not nodes:
        raise UserError(f"the graph has no nodes in {block!r}")
    facts = {node["name"]: node for node in nodes}
    sources = Wiring(graph).sources
    outside = sorted({s for name in facts for s in sources[name]} - facts.keys())
    reads = {**{name: [] for name in outside}, **{name: sources[name] for name in facts}}
    rows = _rows(reads)
    widest = max(map(len, rows))
    place = {
        name: (MARGIN + (i + (widest - len(row)) / 2) * (BOX + GAP_X), 56 + y * (TALL + GAP_Y))
        for y, row in enumerate(rows)
        for i, name in enumerate(row)
    }
    page = MARGIN * 2 + widest * (BOX + GAP_X) + BOX / 2, 56 + len(rows) * (TALL + GAP_Y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {page[0]:g} {page[1]:g}" width="{page[0]:g}" '
        f'height="{page[1]:g}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{MARGIN}" y="20" font-size="14" font-weight="bold">{escape(block)}</text>',
        *_legend(),
        *(_edge(place[s], place[name], page[0] - MARGIN) for name, feeding in reads.items() for s in feeding),
        *(_box(place[name], name, facts.get(name), block) for name in reads),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _rows(reads: dict[str, list[str]]) -> list[list[str]]:
    """Nodes by depth, each right above the first that reads it; in a row, left to right as their sources stand."""
    depth: dict[str, int] = {}
    order = list(TopologicalSorter(reads).static_order())
    for name in order:
        depth[name] = max((depth[s] + 1 for s in reads[name]), default=0)
    for name in reversed(order):
        depth[name] = min((depth[r] - 1 for r in order if name in reads[r]), default=depth[name])
    rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    across: dict[str, float] = {}
    for name in sorted(depth, key=lambda n: (depth[n], n)):
        rows[depth[name]].append(name)
    for row in rows:
        centre = {name: sum(across[s] for s in reads[name]) / max(1, len(reads[name])) for name in row}
        row.sort(key=lambda name: (centre[name], name))
        across.update({name: i - len(row) / 2 for i, name in enumerate(row)})
    return rows


def _box(at: tuple[float, float], name: str, facts: dict[str, Any] | None, block: str) -> str:
    x, y = at
    short = name.removeprefix(f"{block}_")
    if facts is None:
        kind, fill, dash = "from outside", "white", ' stroke-dasharray="4 3"'
    else:
        sizes = f"{facts['width_in']}" if facts["width_in"] == facts["width_out"] else ""
        kind = f"{facts['type']} {sizes or str(facts['width_in']) + ' to ' + str(facts['width_out'])}"
        fill, dash = FILLS[_kind(facts)], ""
    stroke = 2 if facts and facts["portable"] else 0.7
    middle = x + BOX / 2
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{BOX}" height="{TALL}" rx="4" fill="{fill}" stroke="#333" '
        f'stroke-width="{stroke}"{dash}/>'
        f'<text x="{middle:g}" y="{y + 16:g}" text-anchor="middle">{escape(short)}</text>'
        f'<text x="{middle:g}" y="{y + 30:g}" text-anchor="middle" fill="#555">{escape(kind)}</text>'
    )


def _kind(facts: dict[str, Any]) -> str:
    if facts["spiking"]:
        return "spikes"
    if facts["synapses"]:
        return "spike-fed matrix" if facts["spike_fed"] else "real-fed matrix"
    return "real-valued"


def _edge(start: tuple[float, float], end: tuple[float, float], lane: float) -> str:
    """A line from the foot of one box to the head of another; where it skips three rows it swings out to `lane`."""
    if end[1] - start[1] > 3 * (TALL + GAP_Y):
        x0, y0, x1, y1 = start[0] + BOX, start[1] + TALL / 2, end[0] + BOX, end[1] + TALL / 2
        curve = f"M{x0:g} {y0:g}C{lane:g} {y0:g} {lane:g} {y1:g} {x1:g} {y1:g}"
    else:
        x0, y0, x1, y1 = start[0] + BOX / 2, start[1] + TALL, end[0] + BOX / 2, end[1]
        middle = (y0 + y1) / 2
        curve = f"M{x0:g} {y0:g}C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {y1:g}"
    return f'<path d="{curve}" fill="none" stroke="#777"/>'


def _legend() -> list[str]:
    parts, x = [], MARGIN
    for text, fill in FILLS.items():
        parts.append(f'<rect x="{x}" y="30" width="12" height="12" fill="{fill}" stroke="#333" stroke-width="0.7"/>')
        parts.append(f'<text x="{x + 17}" y="40">{text}</text>')
        x += 30 + 7 * len(text)
    return [*parts, f'<text x="{x}" y="40" font-weight="bold">thick: in a portable segment</text>']
