"""What every token of a text costs: its spikes, its synaptic operations (counted) and its energy (modelled)."""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hw_sim.counts.counts import Counts
from hw_sim.energy.measure import counted
from hw_sim.energy.price import price
from hw_sim.energy.profiles import Profile
from hw_sim.run.simulator import Simulator
from spikegpt.errors import UserError
from spikegpt.tokenizer import Tokenizer


@dataclass(frozen=True)
class TokenCosts:
    """By token: its text, binary synaptic operations (T,), joules (T,) in `column`, and spikes (T, n) by population.

    The text of a character of several tokens stands at the last of them. `unpriced` was counted and has no price.
    """

    texts: tuple[str, ...]
    synops: np.ndarray
    energy_j: np.ndarray
    column: str
    unpriced: tuple[str, ...]
    spikes: dict[str, np.ndarray]


def by_token(
    simulator: Simulator,
    tokens: np.ndarray,
    tokenizer: Tokenizer,
    profile: Profile,
    progress: Callable[[int], None] = lambda done: None,
) -> TokenCosts:
    """Run `tokens` (T,) one by one from the simulator's state, and price each at a profile, in the plan's precision.

    Raises UserError where the profile does not price this network.
    """
    plan, precision = simulator.plan, "int8" if simulator.plan.integer else "fp32"
    if precision not in profile.precisions:
        raise UserError(f"profile {profile.name} has no prices in {precision}; it has {', '.join(profile.precisions)}")
    results, energies, unpriced = [], [], dict[str, None]()
    for t in range(len(tokens)):
        result = simulator.run(tokens[t : t + 1], record=True)
        energy = price(counted("", plan, Counts(result.matrices, result.populations)), profile, precision)
        if energy is None:
            raise UserError(f"profile {profile.name} prices no network without spikes")
        results.append(result)
        energies.append(energy.total_j)
        unpriced |= dict.fromkeys(energy.unpriced)
        progress(1)
    return TokenCosts(
        tuple(texts_of(tokens, tokenizer)),
        np.array([result.synops for result in results]),
        np.array(energies),
        f"{profile.name}-{precision}",
        tuple(unpriced),
        {name: np.concatenate([result.spikes[name] for result in results]) for name in results[0].spikes},
    )


def texts_of(tokens: np.ndarray, tokenizer: Tokenizer) -> Iterator[str]:
    """The characters that each token completes; bytes that are no UTF-8 as escapes."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    for t in range(len(tokens)):
        yield decoder.decode(tokenizer.decode(tokens[t : t + 1]), t + 1 == len(tokens))
