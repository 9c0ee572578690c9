"""The file in which a campaign keeps what is done, a JSON object a line, so that it goes on where it was cut off."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Verdicts by what they are of; `add` appends one and is safe against an end at any moment."""

    def __init__(self, path: Path | None, seed: int):
        self.path, self.records = path, list[dict[str, Any]]()
        if path is not None and path.exists():
            lines = path.read_text().splitlines()
            if json.loads(lines[0]) != {"seed": seed}:
                raise SystemExit(f"{path}: of another seed: {lines[0]}")
            for line in lines[1:]:
                try:
                    self.records.append(json.loads(line))
                except ValueError:  # the last line of a run that was killed
                    break
            self._write([{"seed": seed}, *self.records])
        elif path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write([{"seed": seed}])

    def _write(self, records: list[dict]) -> None:
        assert self.path is not None
        self.path.write_text("".join(json.dumps(r) + "\n" for r in records))

    def add(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def of(self, what: str) -> Iterator[dict[str, Any]]:
        return (r for r in self.records if r["what"] == what)
