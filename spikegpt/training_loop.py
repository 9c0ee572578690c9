"""The steps of a training run one after another, what is written meanwhile, and how a signal ends it."""

import time
from collections.abc import Callable

import numpy as np

from spikegpt import checkpoint
from spikegpt.evaluation import evaluate
from spikegpt.interrupts import deferred
from spikegpt.run_folder import LOG, RunFolder
from spikegpt.training_log import Row, scalars, write_log
from spikegpt.training_run import Run

SAVE_EVERY_S = 300.0  # seconds between checkpoints


def keep_on(
    run: Run,
    folder: RunFolder,
    valid: np.ndarray,
    bytes_per_token: float | None,
    report: Callable[[Row], None],
    progress: Callable[[int], None],
    save_every_s: float,
) -> None:
    """Step to the end of a run, with its log and its checkpoints; a signal ends it behind a checkpoint."""
    first, saved = run.here.rank == 0, time.monotonic()
    board = scalars(folder.path, run.step) if first else None
    with deferred() as signalled:
        while not run.finished:
            if (row := run.advance()) is not None:
                if first and run.at_validation:
                    score = evaluate(run.model, valid[: run.cfg.eval_tokens])
                    row["valid_bits_per_token"] = score.bits_per_token
                    row["valid_bits_per_byte"] = score.bits_per_byte or ""
                if bytes_per_token:
                    row["train_bits_per_byte"] = float(row["train_bits_per_token"]) / bytes_per_token
                run.rows.append(row)
                if first:
                    report(row)
                    write_log(folder.path / LOG, run.rows)
                    if board:
                        board(row)
                run.start_clock()
            progress(run.step)
            if run.here.world > 1 and not run.at_round_edge:
                continue  # what several processes carry between windows is not gathered: they stop where it is dropped
            stop = run.here.agree(signalled.number is not None)
            due = run.here.agree(first and time.monotonic() - saved > save_every_s)
            if not run.finished and (stop or due or run.at_checkpoint):
                state = run.training_state()
                if first:
                    checkpoint.save(run.model, folder.last, provenance=folder.provenance, **state)
                saved = time.monotonic()
            if stop:
                break
    if not run.finished:
        raise KeyboardInterrupt  # on a signal that another process got
