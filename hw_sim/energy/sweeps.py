"""Energy per token against one thing at a time: context, firing rate, batch, token rate."""

from collections.abc import Iterable, Sequence

from hw_sim.energy import work
from hw_sim.energy.measure import Shape
from hw_sim.energy.price import price
from hw_sim.energy.profiles import Profile
from hw_sim.energy.work import Work

CONTEXTS = [2**i for i in range(15)]
RATES = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0]
BATCHES = [2**i for i in range(9)]
TOKENS_PER_S = [10.0**i for i in range(7)]
Column = tuple[str, Profile, str]  # name, profile, precision


def sweeps(shape: Shape, ours: Work, columns: Sequence[Column], batch: int, chips: int) -> dict[str, dict]:
    """Joules per token by sweep, side ("gpt_j", "continuous_j", "ours_j") and column, along "x".

    Only columns that price a side are in it. `chips` hold the model, for the static power of profiles that have one.
    """
    args = (shape.n_layer, shape.d, shape.vocab)

    def curve(works: Iterable[tuple[Work, int]]) -> dict[str, list[float]]:
        listed = list(works)
        found = {}
        for column, profile, precision in columns:
            energies = [price(w, profile, precision, batch=b) for w, b in listed]
            if all(energies):
                found[column] = [e.total_j for e in energies if e]
        return found

    twin = work.spikegpt("continuous", *args)
    static = {
        column: [profile.static_w_per_chip * chips / rate for rate in TOKENS_PER_S]
        for column, profile, _ in columns
        if profile.static_w_per_chip
    }
    return {
        "context": {
            "x": CONTEXTS,
            "gpt_j": curve((work.gpt("gpt", *args, t), batch) for t in CONTEXTS),
            "ours_j": curve((ours, batch) for _ in CONTEXTS),
        },
        "rate": {
            "x": RATES,
            "continuous_j": curve((twin, batch) for _ in RATES),
            "ours_j": curve((work.spikegpt("spike-driven", *args, r), batch) for r in RATES),
        },
        "batch": {
            "x": BATCHES,
            "gpt_j": curve((work.gpt("gpt", *args, 1024), b) for b in BATCHES),
            "continuous_j": curve((twin, b) for b in BATCHES),
            "ours_j": curve((ours, b) for b in BATCHES),
        },
        "token_rate": {"x": TOKENS_PER_S, "static_j": static, "chips": chips},
    }
