"""Runs a Lava network and says which of its processes died: left alone, Lava waits for a dead one for ever."""

import os
import signal
import time
from typing import Any

POLL_S = 0.02
ERROR = "LAVA-ERROR"  # opens a line of the child's output that the supervisor reports
SIGNAL_LIMIT = (1 << 31) - 1  # of a message between two Lava processes on a CPU


def tell(label: str, error: Exception) -> None:
    """Print for the supervisor what went wrong in a process: Lava's run() may hang without ever passing it on."""
    print(f"{ERROR} process {label}: {error}", flush=True)


def run_watched(process: Any, steps: int, run_cfg: Any) -> None:
    """Run the network of a Lava process for so many steps. Raises RuntimeError, and prints its text for the supervisor.

    Also ends the child's whole session when the supervisor is gone, so that nothing outlives it.
    """
    from lava.magma.core.run_conditions import RunSteps

    supervisor = os.getppid()
    try:
        process.run(condition=RunSteps(num_steps=steps, blocking=False), run_cfg=run_cfg)
        runtime = process.runtime
        names = [f"process {built.name}" for built in runtime._executable.proc_builders]
        actors = runtime._messaging_infrastructure.actors
        names += ["Lava's runtime service"] * (len(actors) - len(names))
        while not all(port.probe() for port in runtime.service_to_runtime):
            for name, actor in zip(names, actors, strict=True):
                if actor.exitcode is not None:
                    raise RuntimeError(f"{name} {_end_of(actor)}")
            if os.getppid() != supervisor:
                os.killpg(0, signal.SIGTERM)
            time.sleep(POLL_S)
        process.wait()
    except Exception as error:  # a model at fault has printed its own line before
        print(ERROR, str(error) or "a process failed without a text", flush=True)
        raise


def _end_of(actor: Any) -> str:
    """How an operating-system process of Lava ended: its exception, else its signal or exit code."""
    if actor.exitcode < 0:
        return f"was killed by signal {-actor.exitcode} ({signal.Signals(-actor.exitcode).name})"
    if actor.exception:
        return f"failed: {actor.exception[0]}"
    return f"ended early with code {actor.exitcode}"
