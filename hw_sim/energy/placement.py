"""Spike traffic of a declared mapping onto cores, as `spikegpt export --target loihi` writes it."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from spikegpt.documents import read_document
from spikegpt.errors import UserError


class Placement(Struct, frozen=True):
    """Messages and hops per token, and what the network takes up."""

    messages_per_token: float
    hops_ew_per_token: float
    hops_ns_per_token: float
    cores: int
    chips: int


def read_placement(path: str | Path) -> Placement:
    """Read the keys of Placement from a JSON file, or from its "placement" if it has one, as mapping.json does; others
    are ignored. Raises UserError naming the key at fault."""
    values = read_document(Path(path), dict[str, Any])
    try:
        found = msgspec.convert(values.get("placement", values), Placement)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: a placement: {' '.join(str(error).split())}") from error
    for key, value in msgspec.structs.asdict(found).items():
        if value < 0:
            raise UserError(f"{path}: a placement needs {key}, a number of at least 0")
    return found
