"""Where a training run computes: one process, or several that `torchrun` started, each with a share of the batch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from spikegpt.errors import UserError


@dataclass(frozen=True)
class Process:
    """This process's device and its number `rank` among `world` processes."""

    device: torch.device
    rank: int = 0
    world: int = 1

    def wrap(self, module: nn.Module) -> nn.Module:
        """Average gradients over the processes in every backward pass, if there are several."""
        return DistributedDataParallel(module, broadcast_buffers=False) if self.world > 1 else module

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the processes; outside autograd."""
        value = value.detach().clone()
        if self.world > 1:
            dist.all_reduce(value)
        return value / self.world

    def agree(self, flag: bool) -> bool:
        """Whether any of the processes says so; all of them must ask."""
        if self.world == 1:
            return flag
        said = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said)


def choose_device(name: str) -> torch.device:
    """ "auto": a GPU if there is one. Raises UserError for a device that is not here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


@contextmanager
def joined(device: str) -> Iterator[Process]:
    """This process, with the others of the group that `torchrun` describes in the environment."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Process(choose_device(device))
        return
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Process(chosen, dist.get_rank(), world)
        dist.barrier()
    finally:
        dist.destroy_process_group()
