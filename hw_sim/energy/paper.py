"""The published claim, recomputed with the paper's own formulas: an assumption, not a count."""

from typing import Any

from hw_sim.energy.profiles import PAPER

WHY_IT_DIFFERS = (
    "the paper multiplies matrix operations by the firing rate of the LIF outputs; in the published block those "
    "matrices read real numbers (LayerNorm, r * wkv, relu^2), so none of them is an accumulate. It counts one layer, "
    "no head, and attention as 5 T^2."
)


def paper_table1(context: int, d: int, rate: float = 0.15) -> tuple[float, float]:
    """Joules of one layer over a whole window: of its Transformer and of its SpikeGPT.

    4.5 pJ (9 T d^2 + 5 T^2) against 0.9 pJ * rate * 9 T d^2 + 4.5 pJ * 6 T d (arXiv 2302.13939): it applies the firing
    rate of the LIF outputs to matrix inputs that are real numbers.
    """
    transformer = 4.5e-12 * (9 * context * d * d + 5 * context * context)
    spiking = 0.9e-12 * rate * 9 * context * d * d + 4.5e-12 * 6 * context * d
    return transformer, spiking


def accounting() -> dict[str, Any]:
    """The ratio and what it rests on, at the paper's own sizes."""
    context, d, rate = 3072, 512, 0.15
    transformer, spiking = paper_table1(context, d, rate)
    return {
        "profile": PAPER,
        "grade": "assumed",
        "context": context,
        "d": d,
        "rate": rate,
        "transformer_j": transformer,
        "spikegpt_j": spiking,
        "ratio": transformer / spiking,
        "why_it_differs": WHY_IT_DIFFERS,
    }
