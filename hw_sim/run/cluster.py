"""Independent streams of a corpus over Dask workers: counters add up exactly, a lost worker's streams run again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hw_sim.counts.counts import Score
from hw_sim.plan import Plan
from hw_sim.run.resume import Finished
from hw_sim.run.simulator import Simulator
from hw_sim.run.streams import combine, score
from spikegpt.errors import UserError
from spikegpt.temporaries import workspace

ROUNDS = 4  # in which streams are given out, the last three because all copies of the plan were lost with workers
ANSWER_S = 10  # for a scheduler


@contextmanager
def client(scheduler: str | None, workers: int) -> Iterator[Any]:
    """A Dask client: of the scheduler at this address, or of a local cluster that ends with the block.

    Raises UserError when Dask is missing, or the scheduler does not answer or has no workers.
    """
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise UserError("several workers need Dask: pip install 'dask[distributed]'") from error
    if scheduler is None:
        with workspace("spikegpt-dask") as folder:
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, local_directory=str(folder)
            )
            with cluster, Client(cluster) as local:
                yield local
        return
    try:
        remote = Client(scheduler, timeout=ANSWER_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers at {scheduler} ({error})") from error
    with remote:
        try:
            remote.wait_for_workers(1, timeout=ANSWER_S)
        except TimeoutError as error:
            raise UserError(f"the Dask scheduler at {scheduler} has no workers") from error
        yield remote


def score_on(
    client: Any,
    plan: Plan,
    streams: Sequence[np.ndarray],
    finished: Finished | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Score:
    """Score every stream on the workers of a client, which need this package; the result is `streams.score_streams`'s.

    What `finished` holds already is not run again. Raises UserError as `Simulator.run` does, and when workers were
    lost again and again.
    """
    from dask.distributed import CancelledError, KilledWorker, as_completed

    done = dict(finished.scores) if finished else {}
    progress(sum(len(streams[k]) for k in done))
    for _ in range(ROUNDS):
        missing = [k for k in range(len(streams)) if k not in done]
        if not missing:
            break
        shared = client.scatter(plan, broadcast=True, hash=False)
        waiting = {client.submit(_work, shared, streams[k], pure=False): k for k in missing}
        for future in as_completed(list(waiting)):
            k = waiting.pop(future)  # a result that nobody holds is not computed again when its worker is lost
            try:
                done[k] = future.result()
            except (CancelledError, KilledWorker):
                continue
            if finished:
                finished.add(k, done[k])
            progress(len(streams[k]))
    if len(done) < len(streams):
        raise UserError(f"workers were lost again and again; {len(done)} of {len(streams)} streams are done")
    return combine([done[k] for k in range(len(streams))])


def _work(plan: Plan, tokens: np.ndarray) -> Score:
    return score(Simulator(plan, threads=1), tokens)
