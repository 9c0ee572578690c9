"""Dense models measured before, shipped as data: what quality costs without spikes, and the zeros that relu^2 leaves.

`python bench/dense_sweep.py` writes hw_sim/energy/data/*.json from checkpoints; the weights are not shipped.
"""

from functools import cache
from importlib import resources
from typing import Any

from msgspec import Struct

from hw_sim.energy.schema import Assumption, Shape
from hw_sim.energy.shapes import spikegpt
from hw_sim.energy.work import Work
from spikegpt.config import CONTINUOUS
from spikegpt.documents import parse_document


class DenseModel(Struct, frozen=True):
    """One checkpoint: `active` is the share of matrix inputs not zero, by part of a block, where zeros are skipped;
    `bits_per_byte` by the number of tokens it was scored on; `training` the settings."""

    name: str
    variant: str
    shape: Shape
    parameters: int
    active: dict[str, float]
    bits_per_byte: dict[str, float]
    training: dict[str, Any]
    checkpoint_sha256: str

    def work(self, prompt: int = 1) -> Work:
        return spikegpt(self.name, self.variant, self.shape, self.active, prompt=prompt)


class DenseModels(Struct, frozen=True):
    """The models scored on one part of a text; `prefixes` is the sha256 of its first tokens, as bytes, by their
    number."""

    text: str
    text_sha256: str
    tokens: int
    written_by: str
    prefixes: dict[str, str]
    models: tuple[DenseModel, ...]

    def longest_prefix(self, tokens: int) -> int:
        """The most tokens, of those that the models were scored on, that `tokens` cover; 0 if there are none."""
        return max((n for n in map(int, self.prefixes) if n <= tokens), default=0)


@cache
def shipped_sweeps() -> tuple[DenseModels, ...]:
    """All data files of the package."""
    folder = resources.files("hw_sim.energy").joinpath("data")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    return tuple(parse_document(f.read_bytes(), f.name, DenseModels) for f in files)


def zeros_behind_relu2(variant: str) -> Assumption:
    """The share of hidden units that relu^2 leaves, of a shipped model of this variant; its value as text."""
    sweep, model = next(
        (s, m)
        for wanted in (variant, CONTINUOUS)
        for s in shipped_sweeps()
        for m in s.models
        if m.variant == wanted and m.name.startswith("enwik-")
    )
    share = model.active["ffn_value"]
    return Assumption(
        name="share of hidden units not zero behind relu^2",
        value=f"{share:.6f}",
        source=f"counted on models/{model.name}.pt, {sweep.tokens:,} tokens of {sweep.text}",
    )
