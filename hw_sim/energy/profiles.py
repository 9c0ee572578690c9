"""Price tables: YAML files with SI units, a source and a grade; validated on load."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from spikegpt.errors import UserError

GRADES = ("measured", "simulated", "published", "derived", "assumed")
REQUIRED = ("name", "title", "grade", "source", "technology", "scope", "unpriced", "precisions")
OPTIONAL = ("memory", "accounting", "static_w_per_chip")
PRICES = (
    "mac_j", "ac_j", "address_j", "neuron_active_j", "neuron_idle_j", "spike_j", "message_j", "hop_ew_j", "hop_ns_j",
    "weight_bits", "accumulator_bits",
)  # fmt: skip
LEMAIRE, PAPER = "lemaire2022", "paper-table1"
ACCOUNTINGS = ("", LEMAIRE, PAPER)  # how counts and prices meet: term by term, or by the formula of a publication


@dataclass(frozen=True)
class Level:
    """A memory of `bytes`; one bit read or written costs `access_j_per_bit`."""

    name: str
    bytes: float
    access_j_per_bit: float


@dataclass(frozen=True)
class Profile:
    """Prices of one technology; `precisions` maps a precision to joules an operation (and bits a word)."""

    name: str
    title: str
    grade: str
    source: str
    technology: str
    scope: str
    unpriced: tuple[str, ...]
    precisions: dict[str, dict[str, float]]
    levels: tuple[Level, ...] = ()
    accumulator_level: str = ""
    accounting: str = ""
    static_w_per_chip: float = 0.0

    def level_for(self, size_bytes: float) -> Level:
        """The smallest level that holds a tensor of this size."""
        return next(level for level in self.levels if size_bytes <= level.bytes)

    def level(self, name: str) -> Level:
        return next(level for level in self.levels if level.name == name)


def shipped() -> dict[str, Profile]:
    """All profiles of the package, by name."""
    folder = resources.files("hw_sim.energy").joinpath("profiles")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {p.name: p for p in (parse(yaml.safe_load(f.read_text()), f.name) for f in files)}


def load(name_or_path: str) -> Profile:
    """A shipped profile by name, or a YAML file of the user's. Raises UserError when it is unknown or invalid."""
    known = shipped()
    if name_or_path in known:
        return known[name_or_path]
    if "loihi2" in name_or_path.lower().replace(" ", "").replace("-", "") and not Path(name_or_path).exists():
        raise UserError("loihi2: Intel has published no energy per operation for Loihi 2, so there is no such profile")
    if not Path(name_or_path).is_file():
        raise UserError(f"profile {name_or_path!r} is neither a file nor one of {', '.join(known)}")
    try:
        return parse(yaml.safe_load(Path(name_or_path).read_text()), name_or_path)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{name_or_path}: not a YAML file: {' '.join(str(error).split())}") from error


def parse(values: Any, where: str) -> Profile:
    """Check a mapping against the schema; raises UserError naming the key at fault."""
    if not isinstance(values, dict):
        raise UserError(f"{where}: a profile is a mapping with the keys {', '.join(REQUIRED)}")
    missing = [key for key in REQUIRED if not values.get(key) and key != "unpriced"]
    unknown = sorted(set(values) - {*REQUIRED, *OPTIONAL})
    if missing or unknown:
        raise UserError(f"{where}: " + (f"missing key {missing[0]!r}" if missing else f"unknown key {unknown[0]!r}"))
    accounting, static = values.get("accounting", ""), values.get("static_w_per_chip", 0.0)
    if accounting not in ACCOUNTINGS:
        raise UserError(f"{where}: accounting {accounting!r} is not one of {', '.join(ACCOUNTINGS[1:])}")
    if isinstance(static, bool) or not isinstance(static, int | float) or static < 0:
        raise UserError(f"{where}: static_w_per_chip = {static!r} must be a number of watts >= 0")
    if values["grade"] not in GRADES:
        raise UserError(f"{where}: grade {values['grade']!r} is not one of {', '.join(GRADES)}")
    precisions: dict[str, dict[str, float]] = {}
    for precision, prices in values["precisions"].items():
        for key, value in prices.items():
            if key not in PRICES:
                raise UserError(f"{where}: unknown price {key!r} under {precision}; known: {', '.join(PRICES)}")
            if not isinstance(value, int | float) or value < 0:
                raise UserError(f"{where}: {precision}.{key} = {value!r} must be a number of joules (or bits) >= 0")
        precisions[str(precision)] = {k: float(v) for k, v in prices.items()}
    memory = values.get("memory") or {}
    try:
        levels = tuple(
            Level(v["name"], float(v["bytes"]), float(v["access_j_per_bit"])) for v in memory.get("levels", ())
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: every memory level needs name, bytes and access_j_per_bit") from error
    if levels and memory.get("accumulator_level") not in {level.name for level in levels}:
        raise UserError(f"{where}: memory.accumulator_level must name one of the levels")
    return Profile(
        **{key: values[key] for key in REQUIRED if key not in ("unpriced", "precisions")},
        unpriced=tuple(values["unpriced"]),
        precisions=precisions,
        levels=levels,
        accumulator_level=memory.get("accumulator_level", ""),
        accounting=accounting,
        static_w_per_chip=float(static),
    )
