"""Published figures of other systems, for context: rows of text that nothing is divided by."""

from importlib import resources
from typing import Literal

from msgspec import Struct

from spikegpt.documents import parse_document


class System(Struct, frozen=True, forbid_unknown_fields=True):
    """What a system was reported to take, what that includes, and who says so."""

    system: str
    network: str
    figure: str
    includes: str
    grade: Literal["measured", "derived", "compared"]
    source: str


def published_systems() -> tuple[System, ...]:
    """All rows of systems.yaml."""
    text = resources.files("hw_sim.energy").joinpath("systems.yaml").read_bytes()
    return parse_document(text, "systems.yaml", tuple[System, ...], is_yaml=True)
