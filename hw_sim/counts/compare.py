"""Agreement of two runs of one network: spikes by position, logits by largest difference."""

import numpy as np

from spikegpt.errors import UserError


def compare(
    logits: np.ndarray, spikes: dict[str, np.ndarray], other_logits: np.ndarray, other_spikes: dict[str, np.ndarray]
) -> dict:
    """Compare logits (T, V) and spikes {population: (T, n)} of two runs.

    Raises UserError when the runs do not have the same populations and shapes.
    """
    shapes = {name: train.shape for name, train in spikes.items()}
    if logits.shape != other_logits.shape or shapes != {name: train.shape for name, train in other_spikes.items()}:
        raise UserError("the two runs do not have the same shape: they are not the same model on the same text")
    mismatches = {name: int((train != other_spikes[name]).sum()) for name, train in spikes.items()}
    positions = sum(train.size for train in spikes.values())
    wrong = sum(mismatches.values())
    return {
        "spike_positions": positions,
        "spike_mismatches": wrong,
        "spike_agreement": 1 - wrong / positions if positions else 1.0,
        "mismatches_by_population": {name: count for name, count in mismatches.items() if count},
        "max_logit_difference": float(np.abs(logits - other_logits).max()),
        "equal_logits": bool(np.array_equal(logits, other_logits)),
    }
