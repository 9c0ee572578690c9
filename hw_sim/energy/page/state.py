"""What a picture shows in one state of the switch."""

from typing import Any, NamedTuple

NAMES = (
    "range", "quality", "terms", "operations", "sweep-context", "sweep-rate", "sweep-batch", "rates", "raster", "chip",
)  # fmt: skip


class State(NamedTuple):
    """A title that says the finding, the picture in words for who cannot see it, and its rows."""

    title: str
    text: str
    rows: list[dict[str, Any]]

    @property
    def terms(self) -> list[str]:
        """What a legend of terms has to explain, in the order of the bars."""
        found = {row["term"]: row["order"] for row in self.rows if "term" in row}
        return sorted(found, key=lambda term: found[term])


class Chart(NamedTuple):
    """A picture: its name, the specification it is drawn by, its states, and constants of the specification."""

    name: str
    spec: str
    states: dict[str, State]
    params: dict[str, str] = {}  # noqa: RUF012  # never written
