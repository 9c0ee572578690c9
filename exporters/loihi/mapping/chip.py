"""The limits of a chip, read from a data file: a shipped one by name or a user's own by path."""

from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from spikegpt.documents import parse_document, read_document
from spikegpt.errors import UserError

CHIPS = ("loihi1", "loihi2")


@dataclass(frozen=True)
class Chip:
    """Limits of one chip, and its mesh of routers: tile = core // cores_per_tile at (x = tile // mesh_rows,
    y = tile % mesh_rows).

    `None` for axons: no limit is known. `message_bits` is the value that a spike message carries, 0 for binary spikes.
    """

    name: str
    source: str
    grade: str
    cores: int
    neurons_per_core: int
    synapse_bytes_per_core: int
    weight_bits: int
    input_axons_per_core: int | None
    output_axons_per_core: int | None
    message_bits: int
    cores_per_tile: int
    mesh_columns: int
    mesh_rows: int

    @property
    def limits(self) -> dict[str, int | None]:
        """What one core holds, by the names of `Partition.usage`."""
        return {
            "neurons": self.neurons_per_core,
            "synapse_bytes": self.synapse_bytes_per_core,
            "input_axons": self.input_axons_per_core,
            "output_axons": self.output_axons_per_core,
        }


def load_chip(name: str) -> Chip:
    """A chip of CHIPS, or of the YAML file at this path. Raises UserError naming file and field at fault."""
    values: Any
    if name in CHIPS:
        own = resources.files("exporters.loihi").joinpath(f"chips/{name}.yaml")
        values = parse_document(own.read_bytes(), name, Any, is_yaml=True)
    elif name.endswith((".yaml", ".yml")):
        values = read_document(Path(name), Any)
    else:
        raise UserError(f"chip {name!r} is not one of {', '.join(CHIPS)}, nor a .yaml file")
    known = {field.name: field.type for field in fields(Chip)}
    if not isinstance(values, dict) or set(values) != set(known):
        wrong = sorted(map(str, set(known) ^ set(values))) if isinstance(values, dict) else list(known)
        raise UserError(f"{name}: a chip has the fields {', '.join(known)}; check {', '.join(wrong)}")
    for field, kind in known.items():
        value, least = values[field], 0 if field == "message_bits" else 1
        if kind is str and not isinstance(value, str):
            raise UserError(f"{name}: {field} must be text")
        if kind is str or (kind is not int and value is None):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"{name}: {field} = {value!r} must be a whole number of at least {least}")
    chip = Chip(**values)
    places = chip.cores_per_tile * chip.mesh_columns * chip.mesh_rows
    if chip.cores > places:
        raise UserError(f"{name}: {chip.cores} cores do not fit the mesh, whose tiles hold {places}")
    return chip
