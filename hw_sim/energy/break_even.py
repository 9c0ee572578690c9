"""The density of matrix inputs at which spikes stop paying: of one projection, and of a whole model."""

from collections.abc import Callable

from hw_sim.energy.price import price, share_read
from hw_sim.energy.profiles import Profile
from hw_sim.energy.work import Work

STEPS, EXACT = 40, 1e-6  # of the search, and the relative cost at which it ends


def of_projection(profile: Profile, precision: str, fan_in: int, fan_out: int, sharing: int = 1) -> float | None:
    """Density at which one projection costs the same on spikes as densely; above 1 the profile never says no to spikes.

    E_mac + E_w / n = r (E_ac + E_v) + E_w (1 - (1 - r)^n) / n, with E_w one weight read, E_v one accumulator read and
    write, n tokens that share reads. None where the profile has no price for a MAC.
    """
    prices = profile.precisions[precision]  # type: ignore[index]
    if prices.mac_j is None or profile.accounting:
        return None
    mac, weight, accumulator = prices.mac_j, 0.0, 0.0
    if profile.memory:
        bits = prices.weight_bits or 0
        wide = prices.accumulator_bits or bits
        weight = profile.memory.access_j_per_bit(fan_in * fan_out * bits / 8) * bits
        accumulator = 2 * wide * profile.memory.access_j_per_bit(fan_out * wide / 8)

    def spikes(density: float) -> float:
        return density * (prices.ac_j + accumulator) + weight * share_read(density, sharing)

    return crossing(spikes, mac + weight / sharing)


def of_model(
    profile: Profile, precision: str, at: Callable[[float], Work], twin: Work, streams: int = 1
) -> float | None:
    """Density of its inputs at which a spike-driven model (`at` gives its work) costs what its non-spiking twin does.

    None where the profile cannot price the twin. Above 1 the profile can never say no to spikes.
    """

    def cost(density: float) -> float | None:
        found = price(at(density), profile, precision, streams=streams)
        return found.total_j if found else None

    target, least = price(twin, profile, precision, streams=streams), cost(0.0)
    if target is None or least is None or profile.accounting:
        return None
    return crossing(lambda density: cost(density) or 0.0, target.total_j)


def crossing(cost: Callable[[float], float], target: float) -> float:
    """Where a rising cost of densities from 0 to 1 meets `target`; on along its chord beyond 1; 0 if none."""
    least, most = cost(0.0), cost(1.0)
    if most <= target:
        return (target - least) / (most - least) if most > least else float("inf")
    if least >= target:
        return 0.0
    low, high, below, above = 0.0, 1.0, least - target, most - target
    for _ in range(STEPS):  # false position, halving the end that stays (Illinois)
        middle = low - below * (high - low) / (above - below)
        at = cost(middle) - target
        if abs(at) <= EXACT * target:
            return middle
        if at < 0:
            low, below, above = middle, at, above / 2
        else:
            high, above, below = middle, at, below / 2
    return (low + high) / 2


def sentence(limit: float, density: float) -> str:
    """How a density stands to its limit, as a clause."""
    if limit > 1:
        return f"the break-even lies above 1 ({limit:.2f}): these prices can never favour the twin"
    if density >= limit:
        return f"its density {density:.3f} is above the break-even of {limit:.3f}: spikes do not pay"
    return f"its density {density:.3f} is below the break-even of {limit:.3f}"
