"""What a training run leaves to look at: a table of its rows, and the curve as a picture."""

import csv
import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from spikegpt import files

Row = dict[str, float | str]  # "" where there is no number


def write_log(path: Path, rows: list[Row]) -> None:
    """Write the rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, text.getvalue())


def scalars(folder: Path, step: int) -> Callable[[Row], None] | None:
    """What writes rows as TensorBoard's scalars beside the log, where TensorBoard is installed.

    Those that are there of later steps than `step` are not shown any more.
    """
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder), purge_step=step)

    def write(row: Row) -> None:
        for name, value in row.items():
            if name != "step" and value != "":
                writer.add_scalar(name.replace("rate_", "rate/"), float(value), int(float(row["step"])))
        writer.flush()

    return write


def plot_curve(rows: list[Row], path: Path) -> None:
    """Draw the rows of a training log as an SVG file, the same bytes every time."""
    unit = "byte" if rows[-1]["train_bits_per_byte"] != "" else "token"
    figure, axes = plt.subplots(figsize=(6, 3.5))
    curves = (("train", "#56B4E9", "", "training text"), ("valid", "#D55E00", "o", "validation text, first part"))
    for part, colour, marker, label in curves:
        points = [(float(row["tokens"]) / 1e6, row[f"{part}_bits_per_{unit}"]) for row in rows]
        drawn = [point for point in points if point[1] != ""]
        if drawn:
            axes.plot(*zip(*drawn, strict=True), color=colour, marker=marker, markersize=3, label=label)
    axes.set(xlabel="million tokens", ylabel=f"bits per {unit}")
    axes.legend()
    figure.tight_layout()
    with matplotlib.rc_context({"svg.hashsalt": "spikegpt"}):
        files.write(path, lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))
    plt.close(figure)
