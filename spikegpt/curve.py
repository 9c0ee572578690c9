"""The training curve as a picture: bits per byte against tokens seen."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def plot_curve(rows: list[dict], path: Path) -> None:
    """Draw the rows of a training log (see `train.train`) as an SVG file, the same bytes every time."""
    figure, axes = plt.subplots(figsize=(6, 3.5))
    million = [row["tokens"] / 1e6 for row in rows]
    axes.plot(million, [row["train_bits_per_byte"] for row in rows], color="#56B4E9", label="training text")
    scored = [
        (m, row["valid_bits_per_byte"])
        for m, row in zip(million, rows, strict=True)
        if row["valid_bits_per_byte"] != ""
    ]
    if scored:
        axes.plot(
            *zip(*scored, strict=True), color="#D55E00", marker="o", markersize=3, label="validation text, first part"
        )
    axes.set(xlabel="million tokens", ylabel="bits per byte")
    axes.legend()
    figure.tight_layout()
    with matplotlib.rc_context({"svg.hashsalt": "spikegpt"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
