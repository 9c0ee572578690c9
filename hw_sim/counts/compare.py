"""Agreement of two runs of one network: spikes by position, logits by largest difference."""

import numpy as np

from spikegpt.errors import UserError

# Two float32 executions round differently: on the shipped models logits of up to 40 differ by at most 2e-5, until a
# membrane at its threshold makes a spike differ (36 of 3,072,000 in one model, none in 30,720,000 of the others).
SPIKES = 0.001  # the share that may differ
LOGITS = 1e-4  # of the largest logit, while no spike differs: after the first that does, they follow it


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
    differ = np.zeros(len(logits), bool)
    for name, train in spikes.items():
        differ |= (train != other_spikes[name]).any(axis=1)
    first = int(differ.argmax()) if differ.any() else len(logits)
    return {
        "spike_positions": positions,
        "spike_mismatches": wrong,
        "spike_agreement": 1 - wrong / positions if positions else 1.0,
        "mismatches_by_population": {name: count for name, count in mismatches.items() if count},
        "max_logit_difference": float(np.abs(logits - other_logits).max()),
        "tokens_before_a_spike_differs": first,
        "max_logit_difference_before": float(np.abs(logits[:first] - other_logits[:first]).max(initial=0)),
        "max_logit": float(np.abs(other_logits).max()),
        "equal_logits": bool(np.array_equal(logits, other_logits)),
    }


def agreement(found: dict, spikes: float, *, same_precision: bool) -> dict:
    """Whether what `compare` found lies within the tolerances: `spikes`, the share of spikes that may differ, and, for
    two runs of one precision, LOGITS. Numbers that are not finite never agree."""
    within = bool(found["spike_mismatches"] <= spikes * found["spike_positions"])
    if same_precision:
        within = within and bool(found["max_logit_difference_before"] <= LOGITS * found["max_logit"])
    return {"tolerance": spikes, "logits_compared": same_precision, "agrees": within}
