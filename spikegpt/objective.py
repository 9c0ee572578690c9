"""What training minimises: cross-entropy, and the activity of the spikes above a budget."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikegpt.evaluate import fan_out_weights
from spikegpt.model import SpikeGPT, State, Taps
from spikegpt.parallel import Place
from spikegpt.transformer import Transformer


class Score(NamedTuple):
    """One batch: the loss to minimise, cross-entropy in nats per token, active share of synapses, rates, new state."""

    loss: Tensor
    nats: Tensor
    density: Tensor | None
    rates: dict[str, Tensor]
    state: State


class Objective(nn.Module):
    """A module, so that PyTorch's data-parallel engine can wrap it.

    `budget` is the share of the body's synapses that may be active a token; what lies above costs `weight` nats a unit.
    """

    def __init__(
        self, model: SpikeGPT | Transformer, place: Place, budget: float | None = None, weight: float = 0.0
    ) -> None:
        super().__init__()
        self.model, self.place, self.budget, self.weight = model, place, budget, weight
        self.shares = fan_out_weights(model)

    def forward(self, batch: Tensor, state: State | None) -> Score:
        """batch (B, T + 1) int64: T tokens and what follows each; `state` of the window before."""
        taps: Taps = {}
        logits, state = self.model.run(batch[:, :-1], state, taps)
        loss = nats = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        means = {name: spikes.mean() for name, spikes in taps.items()}
        density = None
        if self.shares:
            density = torch.stack([share * means[name] for name, share in self.shares.items()]).sum()
            if self.budget is not None and self.place.mean(density) > self.budget:
                loss = loss + self.weight * (density - self.budget)
        return Score(loss, nats.detach(), density, by_population(means), state)


def by_population(means: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mean firing rate of every kind of population over the layers: block3_att_key_lif counts as att_key."""
    kinds: dict[str, list[Tensor]] = {}
    for name, mean in means.items():
        kinds.setdefault(name.partition("_")[2].removesuffix("_lif"), []).append(mean.detach())
    return {kind: torch.stack(values).mean() for kind, values in kinds.items()}
