"""The picture of docs/results.md: bits per byte against operations and modelled energy, every model and trial."""

from pathlib import Path
from typing import Any

from spikegpt.config import CANONICAL, CONTINUOUS, SPIKE_DRIVEN, TRANSFORMER

MARKERS = {SPIKE_DRIVEN: "o", CANONICAL: "s", CONTINUOUS: "^", TRANSFORMER: "D"}
ENERGY = "memory int8"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Two panels of the models on bytes, saved as SVG; equal numbers of tokens are one colour, taught models hollow."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    rows = [r for r in rows if r["shape"][-1] == 256]
    seen = sorted({r["tokens"] for r in rows})
    image, axes = plt.subplots(1, 2, figsize=(11, 4.8), sharey=True, layout="constrained")
    for axis, cost in zip(axes, (operations, energy), strict=True):
        for r in rows:
            if (x := cost(r)) is not None:
                colour = f"C{seen.index(r['tokens'])}"
                face = "none" if r.get("teacher") else colour
                axis.scatter(
                    x, r["bits_per_byte"], 32, marker=MARKERS[r["variant"]], edgecolors=colour, facecolors=face
                )
        axis.set(xscale="log")
        axis.grid(alpha=0.3)
    for variant, marker in MARKERS.items():
        axes[0].scatter([], [], marker=marker, color="0.3", label=variant)
    for k, tokens in enumerate(seen):
        axes[0].scatter([], [], marker="o", color=f"C{k}", label=f"{tokens / 1e6:.1f} M tokens seen")
    axes[0].scatter([], [], marker="o", color="0.3", facecolors="none", label="taught")
    axes[0].set(xlabel="operations of matrices a token (SynOps + MACs)", ylabel="validation bits per byte")
    axes[1].set(xlabel="µJ a token, 45 nm, int8 with memory, batch 1 (modelled)")
    axes[0].legend(fontsize=7, ncols=2)
    image.savefig(path, metadata={"Date": None})


def operations(row: dict[str, Any]) -> float:
    return row["operations"]


def energy(row: dict[str, Any]) -> float | None:
    """µJ a token, of rows whose densities are known."""
    return row["own shape"]["joules"][ENERGY] * 1e6 if "own shape" in row else None
