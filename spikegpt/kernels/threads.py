"""As many threads for the kernels on the CPU as for torch's own operators, and torch's as they were."""

from functools import cache

import numba
import torch


@cache
def start() -> None:
    """Start numba's threads, before the first of its parallel loops does.

    Where both run on one OpenMP, numba's start sets the number of threads of that to its own: torch, told to take one
    thread, would go on with all, in another order of sums (so that a resumed run differed from a whole one) and on a
    loaded machine many times slower.
    """
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.get_num_threads()))
    torch.set_num_threads(threads)
