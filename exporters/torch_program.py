"""The one-token step of a model as a `torch.export` program: what reads open frameworks can take it from there.

It is made from the torch model, not from its NIR graph. Every kernel is traced as the loop that specifies it.
"""

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from spikegpt.errors import UserError
from spikegpt.kernels import WKV_START
from spikegpt.model import SpikeGPT

TRACED = 2  # streams that the program is traced with; it takes any number


class Step(nn.Module):
    """(token (B,), *state) -> (logits (B, V), *state), the states in the order of `names`."""

    def __init__(self, model: SpikeGPT, names: list[str]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        logits, new = self.model.step(token, dict(zip(self.names, state, strict=True)))
        return logits, *(new[name] for name in self.names)


def write_program(model: Any, folder: Path) -> dict:
    """Write `model.pt2` and `state.json`; returns what the manifest says.

    The file names each state, the axis along which streams lie, how many rows a stream has there, and the value that it
    starts from. Raises UserError for what is no SpikeGPT.
    """
    if not isinstance(model, SpikeGPT):
        raise UserError("--target torch takes the checkpoint of a SpikeGPT: a .nir file holds no torch model")
    model = model.eval()
    with torch.no_grad():
        token = torch.zeros(TRACED, dtype=torch.int64)
        _, state = model.step(token)
        names = sorted(state)
        axes = [state[name].ndim - 2 for name in names]
        rows = [state[name].shape[axis] // TRACED for name, axis in zip(names, axes, strict=True)]
        batch = Dim("batch", min=1)
        shapes = tuple({axis: (n * batch if n > 1 else batch)} for axis, n in zip(axes, rows, strict=True))
        program = torch.export.export(
            Step(model, names), (token, *(state[name] for name in names)), dynamic_shapes=({0: batch}, shapes)
        )
    # Into the file itself a full disk would abort the process: torch's writer fails once more as it is destroyed.
    packed = io.BytesIO()
    torch.export.save(program, packed)
    (folder / "model.pt2").write_bytes(packed.getbuffer())
    states = [
        {"name": name, "shape": [n if d == axis else size for d, size in enumerate(state[name].shape)],
         "streams_along": axis, "initial": initial(name, state[name])}
        for name, axis, n in zip(names, axes, rows, strict=True)
    ]  # fmt: skip
    (folder / "state.json").write_text(json.dumps({"dtype": "float32", "states": states}, indent=1) + "\n", "utf-8")
    return {"torch": str(torch.__version__), "states": len(states)}


def initial(name: str, state: Tensor) -> float | list[float]:
    """What a state starts from: the running maximum of WKV, its third part, lies below every exponent."""
    return [0.0, 0.0, WKV_START] if name.endswith("_wkv") else 0.0
