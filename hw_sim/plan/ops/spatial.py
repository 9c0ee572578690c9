"""Operations on maps: convolutions whose kernel is scattered by what is not zero, and pools.

Maps lie as (channels, height, width), row by row, kernels as (channels, height, width, outputs of a group): what an
input adds to all outputs of a place lies together. Along a row taps lie in the order of the outputs that an input
meets: those a stride apart together, the last first.
"""

from typing import NamedTuple

import numpy as np

from hw_sim.plan.ops.matrices import Listening, Sparse
from hw_sim.plan.ops.operation import Op, Operation, Row


class Geometry(NamedTuple):
    """A window that moves over a map; one of a plan lies among the constants of its row."""

    channels: int
    height: int
    width: int
    out_channels: int
    out_height: int
    out_width: int
    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    padding_y: int
    padding_x: int
    dilation_y: int
    dilation_x: int
    groups: int

    @property
    def n_in(self) -> int:
        return self.channels * self.height * self.width

    @property
    def n_out(self) -> int:
        return self.out_channels * self.out_height * self.out_width

    @property
    def fan(self) -> int:
        """Outputs of a group, that an input of it reaches in one place."""
        return self.out_channels // self.groups

    @property
    def kernel(self) -> tuple[int, ...]:
        """The shape of the weights."""
        return (self.channels, self.kernel_height, self.kernel_width, self.fan)

    @property
    def order(self) -> np.ndarray:
        """The taps of a row of the kernel in the order in which they lie, (kernel_width,)."""
        taps = range(self.kernel_width)
        return np.array(sorted(taps, key=lambda tap: (tap % self.stride_x, -tap)))

    def along(self) -> tuple[np.ndarray, np.ndarray]:
        """By axis (y, x): which tap reads input i for output o, (inputs, outputs), -1 where none does."""
        return (
            _taps(self.height, self.out_height, self.kernel_height, self.stride_y, self.padding_y, self.dilation_y),
            _taps(self.width, self.out_width, self.kernel_width, self.stride_x, self.padding_x, self.dilation_x),
        )

    def places(self) -> np.ndarray:
        """How many places of the output each input is read from, (n_in,)."""
        y, x = ((taps >= 0).sum(axis=1) for taps in self.along())
        return np.tile(np.outer(y, x).ravel(), self.channels)

    def fans(self) -> np.ndarray:
        """Connections of each input, (n_in,); none lead to padding."""
        return self.places() * self.fan

    @classmethod
    def of(cls, constants: np.ndarray) -> "Geometry":
        return cls(*(int(value) for value in constants[: len(cls._fields)]))


def _taps(n: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    offset = np.arange(n)[:, None] + padding - np.arange(out)[None, :] * stride
    tap = offset // dilation
    return np.where((offset % dilation == 0) & (tap >= 0) & (tap < kernel), tap, -1)


def unrolled(kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The convolution as a matrix (n_in, n_out): its definition, for whoever has no window."""
    g = geometry
    rows, columns = g.along()
    shape = (g.channels, g.height, g.width, g.out_channels, g.out_height, g.out_width)
    maps: np.ndarray = np.zeros(shape, kernel.dtype)
    kernel = kernel.reshape(g.kernel)[:, :, np.argsort(g.order)]
    for iy, oy in np.argwhere(rows >= 0):
        for ix, ox in np.argwhere(columns >= 0):
            taps = kernel[:, rows[iy, oy], columns[ix, ox]]  # (channels, fan)
            for c in range(g.channels):
                first = c // (g.channels // g.groups) * g.fan
                maps[c, iy, ix, first : first + g.fan, oy, ox] = taps[c]
    return maps.reshape(g.n_in, g.n_out)


class Conv(Sparse):
    """y = the kernel scattered by every x that is not zero; what feeds it says `shift`, as for Sparse."""

    op = Op.CONV
    kernel = True

    def parameters(self, row, integer):
        return ((len(Geometry._fields),),)

    def weights(self, row: Row, constants: np.ndarray) -> int:
        return int(np.prod(Geometry.of(constants[row.c :]).kernel))


class ConvEvents(Listening, Conv):
    """The same of spikes."""

    op = Op.CONV_EVENTS


class Pool(Operation):
    """y = the sum over a window; where `shift` is 1, times the second parameter, in floats."""

    op = Op.POOL
    kernel = True

    def parameters(self, row, integer):
        return ((len(Geometry._fields),), (1,)) if row.shift else ((len(Geometry._fields),),)

    def elementwise(self, row):
        return {"add": max(0, row.n_in - row.n_out)} | ({"mul": row.n_out} if row.shift else {})

    def integer(self, given, x, z, state):
        g = Geometry.of(given.parameters[0])
        rows, columns = ((taps >= 0).astype(x.dtype) for taps in g.along())
        maps = x.reshape(g.channels, g.height, g.width)
        summed = np.einsum("chw,hy,wx->cyx", maps, rows, columns).ravel()
        return summed * given.parameters[1][0] if given.row.shift else summed

    def reach(self, given, x=0, z=0):
        g = Geometry.of(given.parameters[0])
        return x * g.kernel_height * g.kernel_width
