"""Models that ship with the package, by name: `shipped:kjv` wherever a checkpoint is taken.

`models/` holds a checkpoint and a `.json` (settings and score) for each, and `texts.yaml`.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from spikegpt.documents import read_document
from spikegpt.errors import UserError

PREFIX = "shipped:"
FOLDER = Path(__file__).parent / "models"


class Text(msgspec.Struct):
    """Of the texts: the model that their name alone means, what the text is, and its licence."""

    model: str
    text: str
    licence: str


@dataclass(frozen=True)
class Shipped:
    """A shipped model; `short` is its shorter name, if it has one. `valid` is in bits per byte (None: not measured)."""

    name: str
    short: str | None
    path: Path
    variant: str
    parameters: int
    size: int  # bytes
    valid: float | None
    density: float | None  # share of the spike-fed synapses active a token
    text: str
    licence: str


def shipped() -> list[Shipped]:
    """All models that ship with the package."""
    texts = read_document(FOLDER / "texts.yaml", dict[str, Text])
    return [_described(path, texts) for path in sorted(FOLDER.glob("*.pt"))]


def _described(path: Path, texts: dict[str, Text]) -> Shipped:
    facts: dict[str, Any] = read_document(path.with_suffix(".json"), dict[str, Any])
    score = facts.get("valid") or {"bits_per_byte": facts.get("valid_bits_per_byte"), "density": facts.get("density")}
    stem = path.stem.split("-")[0]
    text = texts[stem]
    return Shipped(
        path.stem,
        stem if text.model == path.stem else None,
        path,
        facts["config"]["variant"],
        facts["provenance"]["parameters"],
        path.stat().st_size,
        score["bits_per_byte"],
        score["density"],
        text.text,
        text.licence,
    )


def resolved(path: str | Path) -> Path:
    """The file that `shipped:NAME` means, and every other path as it is. Raises UserError for an unknown name."""
    named = str(path)
    if not named.startswith(PREFIX):
        return Path(path)
    known = {name: model.path for model in shipped() for name in (model.short, model.name) if name}
    name = named.removeprefix(PREFIX)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {PREFIX}{near[0]}?" if near else "`spikegpt models` lists them"
        raise UserError(f"{named}: no model of this name is shipped; {hint}")
    return known[name]
