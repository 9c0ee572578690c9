"""Counts times prices: joules per token of a Work under a Profile, term by term, with what stays unpriced."""

from dataclasses import dataclass

from hw_sim.energy.profiles import Profile
from hw_sim.energy.work import AC, MAC, Work


@dataclass(frozen=True)
class Energy:
    """Joules per token by term; `unpriced` names counts above zero that this profile has no price for."""

    terms: dict[str, float]
    unpriced: tuple[str, ...]

    @property
    def total_j(self) -> float:
        return sum(self.terms.values())


def price(work: Work, profile: Profile, precision: str, *, batch: int = 1, weight_level: str = "") -> Energy | None:
    """Energy per token, or None where the profile prices none of the row's matrices (a GPT on Loihi).

    `batch` streams share one read of a densely used weight; a spike event always reads its own. `weight_level` forces
    the memory that weights and KV cache are read from; by default each tensor sits in the smallest that holds it.
    """
    prices = profile.precisions[precision]
    if "mac_j" not in prices and not work.acs:
        return None
    terms: dict[str, float] = {}

    def charge(term: str, count: float, unit_j: float) -> None:
        terms[term] = terms.get(term, 0.0) + count * unit_j / work.tokens

    unpriced = list(profile.unpriced)
    charge("accumulates", work.acs, prices["ac_j"])
    if "mac_j" in prices:
        charge("multiply-accumulates", work.macs, prices["mac_j"])
        unpriced = [u for u in unpriced if u != "mac"]
    elif not work.macs:
        unpriced = [u for u in unpriced if u != "mac"]
    if "neuron_active_j" in prices:
        charge("neuron updates", work.active, prices["neuron_active_j"])
        charge("neuron updates", work.neurons - work.active, prices["neuron_idle_j"])
        charge("spikes", work.spikes, prices["spike_j"])
    if profile.levels:
        bits, accumulator_bits = prices["weight_bits"], prices["accumulator_bits"]
        near = profile.level(profile.accumulator_level).access_j_per_bit

        def access(words: float) -> float:
            level = profile.level(weight_level) if weight_level else profile.level_for(words * bits / 8)
            return level.access_j_per_bit * bits

        for m in work.matrices:
            if m.kind == AC:
                charge("weight reads", m.effective, access(m.weights))
                charge("accumulator traffic", m.effective, 2 * accumulator_bits * near)
            elif m.kind == MAC and m.weights:
                charge("weight reads", m.effective / batch, access(m.weights))
        if work.kv_words:
            charge("KV cache", work.kv_read + work.kv_written, access(work.kv_words))
    return Energy(terms, tuple(unpriced))


def paper_table1(context: int, d: int, rate: float = 0.15) -> tuple[float, float]:
    """The paper's own accounting for one layer over a whole window: joules of its Transformer and of its SpikeGPT.

    4.5 pJ (9 T d^2 + 5 T^2) against 0.9 pJ * rate * 9 T d^2 + 4.5 pJ * 6 T d (arXiv 2302.13939). An assumption, not
    a count: it applies the firing rate of the LIF outputs to matrix inputs that are real numbers.
    """
    transformer = 4.5e-12 * (9 * context * d * d + 5 * context * context)
    spiking = 0.9e-12 * rate * 9 * context * d * d + 4.5e-12 * 6 * context * d
    return transformer, spiking
