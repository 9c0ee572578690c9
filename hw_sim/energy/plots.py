"""The report's pictures as inline SVG: titles say the finding, colours are safe for colour-blind readers."""

import io
from collections import defaultdict

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw_sim.energy.schema import Report

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"  # Okabe and Ito 2008
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", GREY)
SIDES = {
    "gpt_j": ("GPT, same shape", ORANGE, "o"),
    "continuous_j": ("non-spiking twin", GREEN, "s"),
    "ours_j": ("this model", BLUE, "^"),
}
SHOWN = ("45nm-compute-fp32", "45nm-memory-fp32")


def synops_plot(report: Report) -> str:
    """Stacked bars: operations a token by layer and part."""
    layers: dict[str, dict[str, float]] = defaultdict(dict)
    for m in report.matrices:
        layer, _, part = m["name"].partition("_")
        layers[layer][part or "head"] = m["synops_per_token"]
    parts = list(dict.fromkeys(p for values in layers.values() for p in values))
    figure, axes = plt.subplots(figsize=(8, 4))
    for color, part in zip(PALETTE, parts, strict=False):
        bottoms = [sum(v.get(p, 0) for p in parts[: parts.index(part)]) / 1e3 for v in layers.values()]
        heights = [v.get(part, 0) / 1e3 for v in layers.values()]
        axes.bar(list(layers), heights, bottom=bottoms, label=part.replace("_", " "), color=color)
    dense = sum(m["dense_per_token"] for m in report.matrices)
    done = sum(m["synops_per_token"] for m in report.matrices)
    axes.set_title(f"{done / dense:.1%} of the dense operations are done")
    axes.set_ylabel("thousand operations a token")
    axes.tick_params(axis="x", rotation=45 if len(layers) > 8 else 0)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return as_svg(figure)


def sweep_plot(report: Report, sweep: str, xlabel: str) -> str:
    """Energy a token along one sweep, a panel for arithmetic alone and one with memory."""
    data = report.sweeps[sweep]
    shown = [column for column in SHOWN if column in data["ours_j"]]
    figure, panels = plt.subplots(1, max(1, len(shown)), figsize=(9, 4), squeeze=False)
    for axes, column in zip(panels[0], shown, strict=False):
        for side, (label, color, marker) in SIDES.items():
            if column in data.get(side, {}):
                values = [j * 1e6 for j in data[side][column]]
                axes.loglog(data["x"], values, color=color, marker=marker, markersize=3, label=label)
        axes.set(xlabel=xlabel, ylabel="microjoules a token")
        axes.set_title(f"{column}\n{finding(data, column)}", fontsize=10)
        if sweep == "rate":
            mark_density(axes, report)
        axes.legend(fontsize=8)
    return as_svg(figure)


def finding(data: dict, column: str) -> str:
    """Who wins at the two ends of a sweep."""
    side = "gpt_j" if column in data.get("gpt_j", {}) else "continuous_j"
    other = "GPT" if side == "gpt_j" else "the twin"
    ends = [data[side][column][i] / data["ours_j"][column][i] for i in (0, -1)]
    return f"{other} costs {ends[0]:.3g}x as much at {data['x'][0]:g}, {ends[1]:.3g}x at {data['x'][-1]:g}"


def mark_density(axes: Axes, report: Report) -> None:
    """Where this model stands on the axis of rates."""
    density = report.measurement["density"]
    kind = "measured" if report.measurement["measured"] else "assumed"
    if report.model["variant"] == "spike-driven" and density:
        axes.axvline(density, color=GREY, linestyle="--", label=f"{kind} density {density:.3f}")


def as_svg(figure: Figure) -> str:
    """A figure as inline SVG; the same bytes every time."""
    figure.tight_layout()
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "spikegpt"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
