"""A folder of the streams of a run that are done, so that a run which was cut off goes on where it stopped."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hw_sim.counts.counts import Counts, MatrixCount, PopulationCount, Score
from hw_sim.plan import Plan
from spikegpt import files
from spikegpt.errors import UserError

LABEL = "run.json"


class Finished:
    """The scores of streams that ended, one small JSON file each; exact, so that a sum does not tell where it stopped.

    `scores` holds what an earlier run left. Raises UserError when that was another network, text or number of
    streams, or a file is damaged.
    """

    def __init__(self, folder: Path, plan: Plan, streams: Sequence[np.ndarray]):
        self.folder = folder
        run = {"plan": plan.digest, "streams": len(streams), "text": _digest(streams)}
        label = folder / LABEL
        if label.exists() and _read(label) != run:
            raise UserError(
                f"{folder} holds streams of another network, text or number of streams: name another folder"
            )
        paths = {k: folder / f"stream{k}.json" for k in range(len(streams))}
        try:
            self.scores = {k: _score(_read(path)) for k, path in paths.items() if path.exists()}
            neurons = [p.neurons for p in plan.populations]
            for k, score in self.scores.items():
                if [p.neurons for p in score.counts.populations] != neurons:
                    raise ValueError(f"the populations of stream {k} are not the network's")
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder}: a file in it is damaged ({error}); name another folder") from error
        _write(label, run)

    def add(self, k: int, score: Score) -> None:
        """Keep the score of stream k."""
        record = {
            "nats": score.nats.hex(),  # exact
            "predicted": score.predicted,
            "matrices": [vars(m) for m in score.counts.matrices],
            "populations": [{**vars(p), "fired": p.fired.tolist()} for p in score.counts.populations],
        }
        _write(self.folder / f"stream{k}.json", record)
        self.scores[k] = score


def check(folder: Path) -> None:
    """Whether streams can be kept in `folder`, asked before any work is done. Raises UserError where its files are not
    ours or it cannot be written."""
    with files.naming(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file: name a folder")
        files.check_writable(folder, folder)
    for path in (folder / LABEL, *folder.glob("stream*.json")):
        if path.exists():
            _read(path)


def _write(path: Path, record: dict) -> None:
    text = json.dumps(record)
    files.write_text(path, json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "record": record}) + "\n")


def _read(path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"{path} is not a regular file: name another folder")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if hashlib.sha256(json.dumps(found["record"]).encode()).hexdigest() == found["sha256"]:
            return found["record"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: damaged, or not a file of --resume; name another folder") from error
    raise UserError(f"{path}: damaged, or changed since it was written; delete it, or name another folder")


def _score(record: dict) -> Score:
    matrices = tuple(MatrixCount(**m) for m in record["matrices"])
    populations = tuple(
        PopulationCount(**{**p, "fired": np.array(p["fired"], np.int64)}) for p in record["populations"]
    )
    return Score(float.fromhex(record["nats"]), record["predicted"], Counts(matrices, populations))


def _digest(streams: Sequence[np.ndarray]) -> str:
    found = hashlib.sha256()
    for stream in streams:
        found.update(len(stream).to_bytes(8, "little"))
        for low in range(0, len(stream), 1 << 20):
            found.update(stream[low : low + (1 << 20)].astype("<i8").tobytes())
    return found.hexdigest()
