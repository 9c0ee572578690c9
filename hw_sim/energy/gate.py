"""The gate: whether a report is worse than an earlier one of the same model shape, text, settings and prices.

Two reports that differ in anything but the model's weights are not compared at all: what differs is named.
"""

import math
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hw_sim.energy.chips import STATIC
from hw_sim.energy.schema import SCHEMA, Report
from spikegpt.config import SPIKE_DRIVEN
from spikegpt.documents import read_document
from spikegpt.errors import UserError

OWN_ROWS = ("subject", "int8")  # the roles of the rows that are the model's own
SHAPE = ("variant", "n_layer", "d", "vocab")
OF_THE_MODEL = ("density",)  # of a measurement: what the weights decide, not the settings
ROUNDING = 1e-12  # a share that floating-point sums may differ by


class OwnRow(Struct):
    """What is compared of a row."""

    name: str
    role: str
    synops: float
    all_operations: float
    energy_j: dict[str, float | None]
    energy_terms_j: dict[str, dict[str, float]]
    effective_acs: float
    bits_per_byte: float | None = None
    text_sha256: str | None = None


class Compared(Struct):
    """A report as the gate reads it; it need not be of this version but for `schema`."""

    schema: str
    model: dict[str, Any]
    measurement: dict[str, Any]
    rows: tuple[OwnRow, ...]
    profiles: dict[str, dict[str, Any]]

    @property
    def own(self) -> dict[str, OwnRow]:
        """The model's own rows by role."""
        return {row.role: row for row in self.rows if row.role in OWN_ROWS}


class Limits(Struct, frozen=True):
    """Shares by which operations and energy, and bits per byte, may rise."""

    increase: float = 0.05
    quality_loss: float = 0.01


class Line(Struct, frozen=True):
    """One quantity of one row, before and after; it regressed where it rose by more than `limit`, a share."""

    row: str
    quantity: str
    unit: str
    before: float
    after: float
    limit: float

    @property
    def change(self) -> float:
        return self.after / self.before - 1

    @property
    def regressed(self) -> bool:
        return self.change > self.limit + ROUNDING


class Verdict(Struct, frozen=True):
    """All that was compared; `dead` says where a model of spikes has gone silent, which no saving makes up for."""

    lines: tuple[Line, ...]
    quality: bool  # whether quality was compared
    dead: tuple[str, ...] = ()

    @property
    def worse(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.regressed)

    @property
    def regressed(self) -> bool:
        return bool(self.worse or self.dead)


def share(text: str, option: str) -> float:
    """ "5%" as 0.05. Raises UserError for anything else: a bare 5 may mean 5 % or five times."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not text.endswith("%") or not 0 <= value < math.inf:
        raise UserError(f"{option} {text!r}: write per cent, such as 5%")
    return value / 100


def read_baseline(path: Path) -> Compared:
    """An earlier report.json that can be compared with. Raises UserError where it is none, or holds no energies."""
    earlier = read_document(path, Compared, "a report.json of `spikegpt energy-report`")
    if earlier.schema != SCHEMA:
        raise UserError(f"{path}: schema {earlier.schema!r}, this version writes {SCHEMA!r}; make the baseline anew")
    if "subject" not in earlier.own:
        raise UserError(f"{path}: no row of the model itself (role subject)")
    for row in earlier.own.values():
        numbers = {**_operations(row), **_energies(row)}
        if row.bits_per_byte is not None:
            numbers["bits per byte"] = row.bits_per_byte
        if not _energies(row):
            raise UserError(f"{path}: row {row.name!r} has no energy; nothing can be compared")
        for name, value in numbers.items():
            if not 0 < value < math.inf:
                raise UserError(
                    f"{path}: row {row.name!r}: {name} = {value!r} cannot be compared with; must be above 0"
                )
        if silent(row, earlier.model):
            raise UserError(f"{path}: row {row.name!r} is of a dead model (density 0); make the baseline of a live one")
    return earlier


def compared(report: Report) -> Compared:
    """A report as it would be read back."""
    return msgspec.json.decode(msgspec.json.encode(report), type=Compared)


def compare(before: Compared, after: Compared, limits: Limits) -> Verdict:
    """Hold a report against its baseline. Raises UserError, naming all of it, where anything but weights differs."""
    differing = differences(before, after)
    if differing:
        raise UserError("the baseline cannot be compared with: " + "; ".join(differing))
    lines = []
    for role, old in before.own.items():
        new = after.own[role]
        if old.bits_per_byte is not None and new.bits_per_byte is not None:
            lines.append(Line(new.name, "bits per byte", "", old.bits_per_byte, new.bits_per_byte, limits.quality_loss))
        for name, value in _operations(old).items():
            lines.append(Line(new.name, name, "", value, _operations(new)[name], limits.increase))
        for name, value in _energies(old).items():
            lines.append(Line(new.name, name, "uJ", value * 1e6, _energies(new)[name] * 1e6, limits.increase))
    dead = tuple(row.name for row in after.own.values() if silent(row, after.model))
    return Verdict(tuple(lines), any(line.quantity == "bits per byte" for line in lines), dead)


def differences(before: Compared, after: Compared) -> list[str]:
    """Whatever makes two reports incomparable, each in a few words: schema, shape, settings, text, prices, columns."""
    found = [] if before.schema == after.schema else [f"schema {before.schema} there, {after.schema} here"]
    found += _apart("", {k: before.model.get(k) for k in SHAPE}, {k: after.model.get(k) for k in SHAPE})
    settings = [{k: v for k, v in r.measurement.items() if k not in OF_THE_MODEL} for r in (before, after)]
    found += _apart("", *settings)
    found += _apart("profile ", before.profiles, after.profiles)
    for role in sorted(before.own.keys() | after.own.keys()):
        old, new = before.own.get(role), after.own.get(role)
        if old is None or new is None:
            found.append(f"the {role} row is {'there' if old else 'here'} alone")
            continue
        if old.text_sha256 != new.text_sha256:
            found.append(f"the text read, sha256 {_short(old.text_sha256)} there, {_short(new.text_sha256)} here")
        if (old.bits_per_byte is None) != (new.bits_per_byte is None):
            found.append(f"quality of the {role} row is {'here' if old.bits_per_byte is None else 'there'} alone")
        theirs, ours = _energies(old).keys(), _energies(new).keys()
        for column in sorted(theirs ^ ours):
            found.append(f"column {column} of the {role} row is {'there' if column in theirs else 'here'} alone")
    return list(dict.fromkeys(found))


def silent(row: OwnRow, model: dict[str, Any]) -> bool:
    """Whether a spike-driven model's body does nothing: by its structure it should."""
    return model.get("variant") == SPIKE_DRIVEN and not row.effective_acs


def _operations(row: OwnRow) -> dict[str, float]:
    return {"operations of the matrices": row.synops, "all operations": row.all_operations}


def _energies(row: OwnRow) -> dict[str, float]:
    """By column; where static power is in the total, the rest apart too, which it would hide."""
    found = {name: value for name, value in row.energy_j.items() if value is not None}
    for name in list(found):
        static = row.energy_terms_j.get(name, {}).get(STATIC)
        if static is not None:
            found[f"{name}, dynamic"] = found[name] - static
    return found


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"


def _apart(prefix: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The keys of two mappings whose values differ, the innermost ones, with both values."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _apart(f"{prefix}{key}.", a, b)
        elif a != b:
            found.append(f"{prefix}{key} {_brief(a)} there, {_brief(b)} here")
    return found


def _brief(value: Any) -> str:
    """A value of a report in a few words."""
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
