"""What training minimises: cross-entropy, distance to a teacher, and the activity of the spikes above a budget."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikegpt.distributed import Process
from spikegpt.evaluation import fan_out_shares
from spikegpt.model import SpikeGPT, State, Taps
from spikegpt.transformer import Transformer

HEAD_TAP = "head_lif"


class Carried(NamedTuple):
    """What the next window begins with: the state of the model, and of its teacher."""

    model: State
    teacher: State | None

    def copied(self, device: torch.device | None = None) -> "Carried":
        """The same without what its tensors are views of, on a device (None: where it is)."""
        parts = (
            part and {name: value.detach().to(device, copy=True).contiguous() for name, value in part.items()}
            for part in self
        )
        return Carried(*parts)  # type: ignore[arg-type]


class BatchScore(NamedTuple):
    """One batch: the loss to minimise, cross-entropy in nats per token, active share of synapses, rates, new state."""

    loss: Tensor
    nats: Tensor
    density: Tensor | None
    rates: dict[str, Tensor]
    state: Carried


class Objective(nn.Module):
    """A module, so that PyTorch's data-parallel engine can wrap it.

    `budget` is the share of the spike-fed synapses that may be active a token, which weights of zero never are; what
    lies above costs `weight` nats a unit. A spiking head is held to that share by itself too: with a vocabulary of
    bytes it is too little of the whole to be held by it, with the paper's it is most of the work.
    A `teacher` takes `share` of the cross-entropy's place: the divergence of the model's next-token distribution from
    the teacher's, both softened by `temperature` (distillation, Hinton et al. 2015, arXiv 1503.02531).
    """

    def __init__(
        self,
        model: SpikeGPT | Transformer,
        place: Process,
        budget: float | None = None,
        weight: float = 0.0,
        teacher: SpikeGPT | Transformer | None = None,
        share: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.model, self.place, self.budget, self.weight = model, place, budget, weight
        self.teacher, self.share, self.temperature = teacher and teacher.requires_grad_(False), share, temperature
        self.prune({})

    def prune(self, kept: Mapping[str, Tensor]) -> None:
        """Count those weights alone for the budget that are kept: masks by population (none: all are)."""
        self.shares = fan_out_shares(self.model, kept)
        self.head_share = None  # of the head's own synapses, the share that each of its neurons (d,) drives
        if HEAD_TAP in self.shares:
            config = self.model.config
            self.head_share = self.shares[HEAD_TAP] * (config.spike_synapses / (config.vocab_size * config.n_embd))

    def forward(self, batch: Tensor, carried: Carried | None) -> BatchScore:
        """batch (B, T + 1) int64: T tokens and what follows each; `carried` from the window before."""
        taps: Taps = {}
        logits, state = self.model.run(batch[:, :-1], carried and carried.model, taps)
        loss = nats = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        taught: State | None = None
        if self.teacher is not None:
            with torch.no_grad():
                target, taught = self.teacher.run(batch[:, :-1], carried and carried.teacher)
            soft = [z.flatten(0, 1).float() / self.temperature for z in (logits, target)]
            ours, theirs = (functional.log_softmax(z, -1) for z in soft)
            distance = functional.kl_div(ours, theirs, log_target=True, reduction="batchmean")
            loss = torch.lerp(nats, distance * self.temperature**2, self.share)  # gradients keep their size
        fired = {name: spikes.mean((0, 1)) for name, spikes in taps.items()}
        density = None
        if self.shares:
            density = torch.stack([share @ fired[name] for name, share in self.shares.items()]).sum()
            loss = loss + self.excess(density)
            if self.head_share is not None:
                loss = loss + self.excess(self.head_share @ fired[HEAD_TAP])
        return BatchScore(loss, nats.detach(), density, by_population(fired), Carried(state, taught))

    def excess(self, density: Tensor) -> Tensor | float:
        """What a density above the budget costs, in nats; decided without a look at it, which would wait for a GPU."""
        if self.budget is None:
            return 0.0
        return self.weight * torch.where(self.place.mean(density) > self.budget, density - self.budget, 0.0)


def by_population(fired: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mean firing rate of every kind of population over the layers: block3_att_key_lif counts as att_key."""
    kinds: dict[str, list[Tensor]] = {}
    for name, rates in fired.items():
        kinds.setdefault(re.sub(r"^block\d+_|_lif$", "", name), []).append(rates.detach().mean())
    return {kind: torch.stack(values).mean() for kind, values in kinds.items()}
