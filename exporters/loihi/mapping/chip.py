"""The limits of a chip, read from a data file: a shipped one by name or a user's own by path."""

from importlib import resources
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from spikegpt.documents import parse_document, read_document
from spikegpt.errors import UserError

CHIPS = ("loihi1", "loihi2")
Count = Annotated[int, Meta(ge=1)]


class Chip(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one chip, and its mesh of routers: tile = core // cores_per_tile at (x = tile // mesh_rows,
    y = tile % mesh_rows).

    `None` for axons: no limit is known. `message_bits` is the value that a spike message carries, 0 for binary spikes.
    """

    name: str
    source: str
    grade: str
    cores: Count
    neurons_per_core: Count
    synapse_bytes_per_core: Count
    weight_bits: Count
    input_axons_per_core: Count | None
    output_axons_per_core: Count | None
    message_bits: Annotated[int, Meta(ge=0)]
    cores_per_tile: Count
    mesh_columns: Count
    mesh_rows: Count

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
    if name in CHIPS:
        own = resources.files("exporters.loihi").joinpath(f"chips/{name}.yaml")
        chip = parse_document(own.read_bytes(), name, Chip, is_yaml=True)
    elif name.endswith((".yaml", ".yml")):
        chip = read_document(Path(name), Chip)
    else:
        raise UserError(f"chip {name!r} is not one of {', '.join(CHIPS)}, nor a .yaml file")
    places = chip.cores_per_tile * chip.mesh_columns * chip.mesh_rows
    if chip.cores > places:
        raise UserError(f"{name}: {chip.cores} cores do not fit the mesh, whose tiles hold {places}")
    return chip
