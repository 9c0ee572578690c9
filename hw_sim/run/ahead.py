"""The loop for integers, compiled in a process beside this one while this one compiles and runs that for floats.

Compiling takes seconds, once on a machine: numba keeps what it made. A command that needs both loops waits for one.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nir
import numpy as np

from hw_sim.graph.quantize import quantize
from hw_sim.run import loop_int8
from hw_sim.run.simulator import Simulator


@contextmanager
def integers_compiled() -> Iterator[None]:
    """Begin to compile the loop for integers, unless numba holds it or there is one core; wait for it at the end."""
    if held() or len(os.sched_getaffinity(0)) < 2:
        yield
        return
    silent: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    # Modules as this process found them: the folder that a command starts in may hold others of their names.
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import make; make()"
    beside = subprocess.Popen([sys.executable, "-I", "-c", code], **silent)
    try:
        yield
        beside.wait()  # where it failed, this process compiles for itself, and says why it cannot
    finally:
        beside.kill()
        beside.wait()


def held() -> bool:
    """Whether there is nothing to begin: numba's cache has the loop, newer than its source, or there is no cache."""
    loop, source = loop_int8.run_integer, Path(loop_int8.__file__)
    if loop.stats.cache_path is None:
        return True
    found = Path(loop.stats.cache_path).glob(f"{source.stem}.{loop.py_func.__name__}-*.nbi")
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in found)


def make() -> None:
    """Run the loop for integers once, on a network of one weight."""
    nodes = {
        "token": nir.Input({"input": np.array([2])}),
        "embedding": nir.Linear(np.ones((1, 2), np.float32)),
        "matrix": nir.Linear(np.ones((1, 1), np.float32)),
        "out": nir.Output({"output": np.array([1])}),
    }
    edges = [("token", "embedding"), ("embedding", "matrix"), ("matrix", "out")]
    Simulator.from_nir(quantize(nir.NIRGraph(nodes, edges, type_check=False))).run(np.zeros(1, np.int64))
