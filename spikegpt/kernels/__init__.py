"""Sequence kernels of SpikeGPT: token shift, LIF and WKV, each forward and backward over (rows, T, channels).

Every kernel has a plain PyTorch loop as its specification (`reference.py`) and a fused numba form on the CPU.
On a GPU they are compiled (`compiled.py`).
"""

from spikegpt.kernels.lif import lif
from spikegpt.kernels.shift import token_shift
from spikegpt.kernels.wkv import WKV_START, wkv

__all__ = ["WKV_START", "lif", "token_shift", "wkv"]
