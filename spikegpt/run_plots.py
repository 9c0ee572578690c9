"""Curves of several training runs over one another: quality, density and synaptic operations, and every population."""

import csv
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from spikegpt import files
from spikegpt.config import Config
from spikegpt.errors import UserError
from spikegpt.escape import mathtext
from spikegpt.kinds import require_file
from spikegpt.run_folder import LOG, read_run

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")  # Okabe and Ito
ACROSS = 3  # panels
LIMIT = 64 << 20  # bytes of a log


@dataclass(frozen=True)
class Curves:
    """The log of a run: its columns by name, None where a row has no number; `tokens` of text is what they run over."""

    name: str
    columns: dict[str, list[float | None]]
    synapses: int  # spike-fed

    def points(self, column: str) -> list[tuple[float, float]]:
        """(million tokens, value) of a column."""
        pairs = zip(self.columns["tokens"], self.columns.get(column, []), strict=False)
        return [(tokens / 1e6, value) for tokens, value in pairs if tokens is not None and value is not None]

    @property
    def synops(self) -> list[tuple[float, float]]:
        """(million tokens, binary synaptic operations a token)."""
        return [(tokens, density * self.synapses) for tokens, density in self.points("density")]


def read_curves(folder: Path) -> Curves:
    """The curves of the run in a folder. Raises UserError where it is none, or its log no table of numbers."""
    run, log = read_run(folder), folder / LOG
    require_file(log)
    try:
        if log.stat().st_size > LIMIT:
            raise UserError(f"{log}: more than {LIMIT:,} bytes, no log is that long")
        rows = list(csv.DictReader(log.read_text(encoding="utf-8").splitlines()))
        names = list(rows[0]) if rows else []
        columns = {name: [float(row[name]) if row[name] else None for row in rows] for name in names}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        said = getattr(error, "strerror", None) or "not the table of numbers that a run leaves"
        raise UserError(f"{log}: {said}") from error
    curves = Curves(folder.resolve().name, columns, Config.from_dict(run["config"]).spike_synapses)
    if "tokens" not in columns or not panels([curves]):
        raise UserError(f"{log}: holds no rows yet")
    return curves


def panels(curves: list[Curves]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """What is drawn: by the title of a panel, by the label of a curve, its points. Panels without any are left out."""
    unit = "byte" if all(curve.points("train_bits_per_byte") for curve in curves) else "token"
    kinds = dict.fromkeys(name for curve in curves for name in curve.columns if name.startswith("rate_"))
    found = {
        f"bits per {unit}, training text": {c.name: c.points(f"train_bits_per_{unit}") for c in curves},
        f"bits per {unit}, validation text": {c.name: c.points(f"valid_bits_per_{unit}") for c in curves},
        "density: active share of synapses": {c.name: c.points("density") for c in curves},
        "binary SynOps a token": {c.name: c.synops for c in curves},
        **{f"spikes a token and neuron, {kind[5:]}": {c.name: c.points(kind) for c in curves} for kind in kinds},
    }
    kept = {title: {name: points for name, points in of.items() if points} for title, of in found.items()}
    return {title: of for title, of in kept.items() if of}


def draw(curves: list[Curves], path: Path) -> None:
    """Draw the panels as an SVG or PNG file, the same bytes every time. Raises UserError for another suffix."""
    drawn = panels(curves)
    down = -(-len(drawn) // ACROSS)
    figure, grid = plt.subplots(down, ACROSS, figsize=(4 * ACROSS, 2.6 * down), squeeze=False)
    colours = {c.name: COLOURS[i % len(COLOURS)] for i, c in enumerate(curves)}
    for axes, (title, of) in zip(grid.flat, drawn.items(), strict=False):
        for name, points in of.items():
            axes.plot(*zip(*points, strict=True), color=colours[name], lw=1.2, marker="." if len(points) < 30 else "")
        axes.set_title(mathtext(title), fontsize=9)
        axes.tick_params(labelsize=8)
    for axes in grid.flat[len(drawn) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("million tokens", fontsize=8)
    handles = [plt.Line2D([], [], color=colour, label=mathtext(name)) for name, colour in colours.items()]
    figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.3 / (2.6 * down), 1, 1))
    kind = path.suffix[1:]
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "spikegpt"}):
        files.write(path, lambda file: figure.savefig(file, format=kind, metadata=metadata, dpi=130), signed=True)
    plt.close(figure)
