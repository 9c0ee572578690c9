"""Kernels of SpikeGPT: token shift, LIF and WKV, forward and backward over (rows, T, channels), and spike-fed products.

Every kernel has a plain PyTorch loop as its specification (`reference.py`) and a fused numba form on the CPU.
On a GPU they are Triton programs (`gpu.py`) or PyTorch's own operators.
"""

from spikegpt.config import WKV_START
from spikegpt.kernels.events import spike_linear
from spikegpt.kernels.lif import lif
from spikegpt.kernels.shift import token_shift
from spikegpt.kernels.wkv import wkv

__all__ = ["WKV_START", "lif", "spike_linear", "token_shift", "wkv"]
