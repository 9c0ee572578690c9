"""Independent streams of a corpus over Dask workers: counters add up exactly, a lost worker's streams run again."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hw_sim.plan import Plan
from hw_sim.results import Counts, MatrixCount, PopulationCount
from hw_sim.simulator import Simulator
from hw_sim.streams import Score, combine, score
from spikegpt.errors import UserError
from spikegpt.files import write_atomically

RETRIES = 3  # workers that may be lost under one stream


@contextmanager
def client(scheduler: str | None, workers: int) -> Iterator[Any]:
    """A Dask client: of the scheduler at this address, or of a local cluster that ends with the block.

    Raises UserError when Dask is missing or the scheduler does not answer.
    """
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise UserError("several workers need Dask: pip install 'dask[distributed]'") from error
    if scheduler is None:
        with tempfile.TemporaryDirectory() as folder:
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, local_directory=folder
            )
            with cluster, Client(cluster) as local:
                yield local
        return
    try:
        remote = Client(scheduler, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers at {scheduler} ({error})") from error
    with remote:
        yield remote


def score_on(
    client: Any,
    plan: Plan,
    streams: Sequence[np.ndarray],
    finished: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Score:
    """Score every stream on the workers of a client; the result is that of `streams.score_streams`.

    `finished` is a folder in which the scores of streams are left as they come in, and from which a repeated call
    takes them. Raises UserError when it holds scores of another network or text.
    """
    from dask.distributed import as_completed

    done: dict[int, Score] = _stored(finished, plan, streams) if finished else {}
    for k in done:
        progress(len(streams[k]))
    shared = client.scatter(plan, broadcast=True, hash=False)
    waiting = {
        client.submit(_work, shared, tokens, retries=RETRIES, pure=False): k
        for k, tokens in enumerate(streams)
        if k not in done
    }
    for future, result in as_completed(list(waiting), with_results=True):
        k = waiting[future]
        done[k] = result
        if finished:
            text = json.dumps(_to_json(result))
            write_atomically(finished / f"stream{k}.json", lambda beside, text=text: beside.write_text(text))
        progress(len(streams[k]))
    return combine([done[k] for k in range(len(streams))])


def _work(plan: Plan, tokens: np.ndarray) -> Score:
    return score(_simulator(id(plan), plan), tokens)


@lru_cache(maxsize=1)
def _simulator(key: int, plan: Plan) -> Simulator:
    return Simulator(plan, threads=1)


def _stored(folder: Path, plan: Plan, streams: Sequence[np.ndarray]) -> dict[int, Score]:
    import hashlib

    text = hashlib.sha256(b"".join(np.int64(len(s)).tobytes() + s.astype(np.int64).tobytes() for s in streams))
    run = {"plan": Simulator(plan, threads=1).plan_hash, "streams": len(streams), "text": text.hexdigest()}
    label = folder / "run.json"
    if label.exists() and json.loads(label.read_text()) != run:
        raise UserError(f"{folder} holds streams of another network, text or number of streams: name another folder")
    write_atomically(label, lambda beside: beside.write_text(json.dumps(run)))
    paths = {k: folder / f"stream{k}.json" for k in range(len(streams))}
    return {k: _from_json(json.loads(path.read_text())) for k, path in paths.items() if path.exists()}


def _to_json(result: Score) -> dict:
    return {
        "nats": result.nats.hex(),  # exact
        "predicted": result.predicted,
        "matrices": [vars(m) for m in result.counts.matrices],
        "populations": [{**vars(p), "fired": p.fired.tolist()} for p in result.counts.populations],
    }


def _from_json(record: dict) -> Score:
    matrices = tuple(MatrixCount(**m) for m in record["matrices"])
    populations = tuple(
        PopulationCount(**{**p, "fired": np.array(p["fired"], np.int64)}) for p in record["populations"]
    )
    return Score(float.fromhex(record["nats"]), record["predicted"], Counts(matrices, populations))
