"""The folder of a training run: what lies in it, whether a run may begin or go on there, and what it says of itself.

`run.json` is written first: with its schema it marks the files of a run as ours, and it holds the settings and the
command that continues the run. Files of other names in the folder are nobody's business here and stay.
"""

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikegpt import checkpoint, files
from spikegpt.documents import read_document
from spikegpt.errors import UserError
from spikegpt.kinds import require_folder
from spikegpt.temporaries import lock, made, remove

SCHEMA = "spikegpt-run-1"
RUN, LAST, MODEL, LOG, CURVE = "run.json", "last.pt", "model.pt", "log.csv", "curve.svg"
NAMES = (RUN, LAST, MODEL, LOG, CURVE)
NO_SETTING = "torch"  # of the provenance: another version may continue a run


@dataclass(frozen=True)
class RunFolder:
    """A folder that a run with these settings may write."""

    path: Path
    config: dict
    provenance: dict

    @property
    def last(self) -> Path:
        return self.path / LAST

    @property
    def model(self) -> Path:
        return self.path / MODEL

    def finished(self) -> bool:
        """Whether the run that is there has come to its end."""
        return (self.path / RUN).exists() and read_run(self.path).get("valid") is not None and self.model.exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training in this folder meanwhile. Raises UserError where one does."""
        with made(self.path):
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if lock(descriptor) is False:
                    raise UserError(f"{self.path}: another process trains there now")
                yield
            finally:
                os.close(descriptor)

    def begin(self, command: Sequence[str], *, resume: bool, force: bool) -> dict | None:
        """The checkpoint to go on from, or None, and then the files of an earlier run are gone and `run.json` is there.

        Raises UserError as `check`, and where the run that is to be resumed had other settings.
        """
        check(self.path, resume=resume, force=force)
        if resume and (self.path / RUN).exists() and (self.last.exists() or self.finished()):
            self._compare(read_run(self.path))
            return None if self.finished() else self.checkpoint()
        for name in NAMES:
            remove(self.path / name)
        again = shlex.join([*(word for word in command if word not in ("--resume", "--force")), "--resume"])
        self.describe({"continue": again, "directory": os.path.realpath(".")} if command else {})
        return None

    def describe(self, more: dict) -> None:
        """Write `run.json`."""
        known = read_run(self.path) if (self.path / RUN).exists() else {"schema": SCHEMA}
        told = {**known, **more, "config": self.config, "provenance": self.provenance}
        files.write_text(self.path / RUN, json.dumps(told, indent=1) + "\n")

    def _compare(self, run: dict) -> None:
        """Raises UserError naming the settings that are not those of the run."""
        before, now = ({**told["config"], **told["provenance"]} for told in (run, vars(self)))
        differ = [k for k in {**before, **now} if before.get(k) != now.get(k) and k != NO_SETTING]
        if differ:
            named = ", ".join(f"{k.removeprefix('train_')} {before.get(k)}, now {now.get(k)}" for k in differ)
            command = f"; to continue it: {run['continue']}" if "continue" in run else ""
            raise UserError(f"{self.path}: the run there has other settings: {named}{command}")

    def checkpoint(self) -> dict:
        """The record to go on from. Raises UserError where it is not as it was written."""
        if not files.signature(self.last):
            raise UserError(f"{self.last}: damaged or changed since it was written; --force begins anew")
        return checkpoint.read(self.last)


def check(folder: Path, *, resume: bool, force: bool) -> None:
    """Whether a run may begin (or `resume`) in `folder`, asked before any work is done.

    Raises UserError where files of these names are not a run's, where there is a run that is neither to be resumed nor
    to be replaced (`force`), nothing to resume, or the place cannot be written.
    """
    with files.naming(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file: name a folder")
        files.check_writable(Path(os.path.realpath(folder)), folder)
        there = [name for name in NAMES if os.path.lexists(folder / name)]
    if there and RUN not in there:
        raise UserError(
            f"{folder} holds files that are not a run of this tool: {', '.join(there)}; name another folder"
        )
    run = read_run(folder) if there else None
    if force:
        return
    if resume and run is None:
        raise UserError(f"{folder} holds no run to resume: leave --resume away, or pass --force too to begin one")
    if resume and run is not None and LAST not in there and not run.get("valid"):
        raise UserError(f"{folder}: the run there ended before its first checkpoint; --force begins it anew")
    if run is not None and not resume:
        state = "a finished run" if run.get("valid") else "an unfinished run"
        raise UserError(f"{folder} holds {state}: pass --resume to continue it, --force to replace it, or name another")


def read_run(folder: Path) -> dict[str, Any]:
    """What `run.json` says. Raises UserError where there is none, or it is not ours."""
    require_folder(folder)
    if not os.path.lexists(folder / RUN):
        raise UserError(f"{folder} is not the folder of a training run: it holds no {RUN}")
    found = read_document(folder / RUN, dict[str, Any])
    parts = (found.get("config"), found.get("provenance"))
    if found.get("schema") != SCHEMA or not all(isinstance(part, dict) for part in parts):
        raise UserError(f"{folder / RUN}: not a run of this tool (schema {SCHEMA}); name another folder")
    return found
