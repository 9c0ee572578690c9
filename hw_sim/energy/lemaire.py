"""The accounting of E. Lemaire et al. 2022 (arXiv 2210.13107): operations, addressing and memory of spiking layers."""

from hw_sim.energy.profiles import Prices, Profile
from hw_sim.energy.work import AC, Work


def terms(work: Work, profile: Profile, prices: Prices) -> tuple[dict[str, float], dict[str, float]]:
    """Joules per token by term of the matrices that spikes drive and of the LIF neurons, and counts without a price.

    A layer with theta input spikes does theta N_out additions, one MAC a neuron and step, one addition a spike sent;
    theta N_out additions of addresses; and reads theta spikes, theta N_out weights, and reads and writes
    theta N_out + N_out potentials, each access of 64 bits at a price linear in the size of its memory, from zero on.
    """
    assert profile.memory and prices.weight_bits and prices.address_j and prices.mac_j  # checked on load
    bits = prices.weight_bits
    corners = [(0.0, 0.0), *((level.holds, 64 * level.access_j_per_bit) for level in profile.memory.levels)]

    def access(words: float) -> float:
        size = words * bits / 8
        last = len(corners) - 1
        at = next((i for i in range(1, len(corners)) if size <= corners[i][0]), last)  # beyond: along the last piece
        (x0, y0), (x1, y1) = corners[at - 1], corners[at]
        return y0 + (size - x0) * (y1 - y0) / (x1 - x0)

    memory = 0.0
    for m, copies in work.alike.items():
        if m.kind == AC:
            theta = m.effective / m.fan_out
            potentials = m.effective + m.fan_out * work.tokens
            memory += copies * (theta * access(m.weights / m.fan_out) + m.effective * access(m.weights))
            memory += copies * 2 * potentials * access(m.fan_out)
    found = {
        "accumulates": work.acs * prices.ac_j,
        "addressing": work.acs * prices.address_j,
        "neuron updates": work.neurons * prices.mac_j + work.spikes * prices.ac_j,
        "memory": memory,
    }
    unpriced = {"mac": work.macs + work.graded}
    unpriced |= {c: sum(kinds.values()) for c, kinds in work.components.items() if c != "neurons"}
    for t in work.tensors:
        if t.role != "state":
            unpriced[t.role] = unpriced.get(t.role, 0) + t.moved * t.copies
    return {k: v / work.tokens for k, v in found.items()}, {k: v / work.tokens for k, v in unpriced.items() if v}
