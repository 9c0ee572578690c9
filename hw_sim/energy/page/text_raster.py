"""A text with what each of its tokens costs and which neurons fire under it: as a picture, and as a page."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from hw_sim.energy.by_token import TokenCosts
from hw_sim.energy.summary import microjoules
from spikegpt import files
from spikegpt.escape import html, mathtext, printable

NEURONS = 64  # of a population are drawn
TOKEN_IN, NEURON_IN, STRIP_IN, MARGIN_IN = 0.13, 0.02, 0.22, 2.3  # inches
HEAT = "YlOrRd"
STYLE = (
    "body{font:15px sans-serif;margin:2em;max-width:75em}pre{font-size:17px;white-space:pre-wrap;line-height:1.7}"
    "pre span{padding:2px 0;color:#000}svg{max-width:100%;height:auto}small{color:#555}"
)


def write(costs: TokenCosts, populations: Sequence[str], title: str, path: Path) -> None:
    """Draw the spikes of `populations` under the text, to an .html, .svg or .png file; the same bytes every time."""
    kind = path.suffix[1:]
    if kind == "html":
        files.write_text(path, page(costs, populations, title), signed=True)
        return
    content = rendered(costs, populations, title, kind)
    files.write(path, lambda file: file.write(content), signed=True)


def page(costs: TokenCosts, populations: Sequence[str], title: str) -> str:
    """An HTML page that needs no network: the text as two heat maps, and the picture."""
    picture = rendered(costs, populations, title, "svg").decode()
    left = f" Not priced: {', '.join(costs.unpriced)}." if costs.unpriced else ""
    total = f"{int(costs.synops.sum()):,} binary SynOps (counted), {microjoules(costs.energy_j.sum())} µJ (modelled)"
    head = f"{len(costs.texts):,} tokens: {total}, at the prices {html(costs.column)}.{left}"
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html(title)}</title><style>{STYLE}</style>',
            f"<h1>{html(title)}</h1><p>{head}</p>",
            f"<h2>Binary SynOps a character</h2>{_heat(costs.texts, costs.synops, 'SynOps')}",
            f"<h2>Energy a character</h2>{_heat(costs.texts, costs.energy_j * 1e6, 'µJ')}",
            f"<h2>Spikes</h2>{picture[picture.index('<svg') :]}</html>\n",
        ]
    )


def _heat(texts: Sequence[str], values: np.ndarray, unit: str) -> str:
    """The text on the colours of its values, where a character of several tokens has their sum; figures where the
    pointer rests."""
    ends = [i for i, text in enumerate(texts) if text or i + 1 == len(texts)]
    sums = np.add.reduceat(values, [0, *(end + 1 for end in ends[:-1])])
    spans = [
        f'<span style="background:{colour}" title="{html(repr(texts[end]))}: {_figure_of(value)} {unit}">'
        f"{html(_shown(texts[end]))}</span>"
        for end, value, colour in zip(ends, sums, _colours(sums), strict=True)
    ]
    scale = f"pale: {_figure_of(sums.min())} {unit}, dark: {_figure_of(sums.max())} {unit}"
    return f"<pre>{''.join(spans)}</pre><small>{scale}</small>"


def _figure_of(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3f}"


def _colours(values: np.ndarray) -> list[str]:
    """A colour for each value, over the range that there is."""
    spread = float(values.max() - values.min())
    shares = (values - values.min()) / spread if spread else np.zeros(len(values))
    scale = matplotlib.colormaps[HEAT]
    return [matplotlib.colors.to_hex(scale(0.75 * share)) for share in shares]


def _shown(text: str) -> str:
    """A token where its place must show: a space as one, a line end as a sign."""
    return "".join("↵" if c == "\n" else printable(c) for c in text)


def rendered(costs: TokenCosts, populations: Sequence[str], title: str, kind: str) -> bytes:
    """The picture as SVG or PNG."""
    figure = _figure(costs, populations, title)
    content = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "spikegpt"}):
        figure.savefig(content, format=kind, metadata=metadata, dpi=120, bbox_inches="tight")
    plt.close(figure)
    return content.getvalue()


def _figure(costs: TokenCosts, populations: Sequence[str], title: str) -> Figure:
    """Two strips of heat and a raster a population, one below the other, over the same tokens."""
    drawn = {name: costs.spikes[name][:, _sampled(costs.spikes[name].shape[1])] for name in populations}
    heights = [STRIP_IN, STRIP_IN, *(max(STRIP_IN, NEURON_IN * train.shape[1]) for train in drawn.values())]
    n = len(costs.texts)
    figure, grid = plt.subplots(
        len(heights), 1, sharex=True, squeeze=False, height_ratios=heights,
        figsize=(MARGIN_IN + TOKEN_IN * n, 1 + 1.25 * sum(heights)),
    )  # fmt: skip
    strips, rasters = grid[:2, 0], grid[2:, 0]
    named = (("SynOps", costs.synops, f"{int(costs.synops.mean()):,} a token"),
             ("energy", costs.energy_j, f"{microjoules(costs.energy_j.mean())} µJ a token"))  # fmt: skip
    for axes, (name, values, mean) in zip(strips, named, strict=True):
        axes.imshow(values[None], aspect="auto", cmap=HEAT, extent=(-0.5, n - 0.5, 0, 1))
        axes.set_ylabel(f"{name}\n{mean}", rotation=0, ha="right", va="center", fontsize=7)
    for axes, (name, train) in zip(rasters, drawn.items(), strict=True):
        extent = (-0.5, n - 0.5, 0, train.shape[1])
        axes.imshow(train.T, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest", extent=extent)
        said = f"{mathtext(name.removesuffix('_lif'))}\nrate {costs.spikes[name].mean():.3f}"
        axes.set_ylabel(said, rotation=0, ha="right", va="center", fontsize=7)
    for axes in grid[:, 0]:
        axes.set_yticks([])
        axes.tick_params(length=0)
    top = strips[0]
    top.xaxis.set_tick_params(labeltop=True, labelbottom=False)
    top.set_xticks(range(n), [mathtext(_shown(text)) for text in costs.texts], fontsize=8, family="monospace")
    for axes in grid[1:, 0]:
        axes.xaxis.set_tick_params(labelbottom=False)
    top.set_title(f"{mathtext(title)} ({mathtext(costs.column)}, modelled)", fontsize=9, loc="left")
    return figure


def _sampled(neurons: int) -> np.ndarray:
    """Neurons spread evenly over a population."""
    return np.unique(np.linspace(0, neurons - 1, min(neurons, NEURONS)).round().astype(int))
