"""Convolutions and pools of a NIR graph: the window that each moves over its input, and its weights in a plan."""

import nir
import numpy as np

from hw_sim.graph.wiring import POOLS
from hw_sim.plan.ops.spatial import Geometry
from spikegpt.errors import UserError

CONVOLUTIONS = (nir.Conv1d, nir.Conv2d)
WINDOWS = CONVOLUTIONS + POOLS
MOST = 1 << 20  # of any number of a window


def geometry(name: str, node: nir.NIRNode, shape: tuple[int, ...]) -> Geometry:
    """The window of a convolution or a pool over an input of this shape, (C, N) for Conv1d, else (C, H, W).

    Raises UserError naming the node where shapes do not meet, or the kernel is larger than its padded input.
    """
    axes = 1 if isinstance(node, nir.Conv1d) else 2
    if len(shape) != axes + 1:
        raise UserError(f"node {name!r}: a {type(node).__name__} reads {axes + 1} dimensions, its input has {shape}")
    channels, space = shape[0], shape[1:]
    if isinstance(node, CONVOLUTIONS):
        if node.weight.ndim != axes + 2:
            raise UserError(f"node {name!r}: weight has shape {node.weight.shape}; {axes + 2} dimensions are needed")
        kernel, out_channels = node.weight.shape[2:], node.weight.shape[0]
        groups, dilation = _numbers(name, node, "groups", 1)[0], _numbers(name, node, "dilation", axes)
        if channels != node.weight.shape[1] * groups or out_channels % groups:
            raise UserError(
                f"node {name!r}: weight of shape {node.weight.shape} in {groups} groups reads "
                f"{node.weight.shape[1] * groups} channels, its input has {channels}"
            )
        if np.size(node.bias) not in (1, out_channels):
            raise UserError(f"node {name!r}: bias holds {np.size(node.bias)} values for {out_channels} channels")
    else:
        kernel, groups, out_channels = _numbers(name, node, "kernel_size", axes), channels, channels
        dilation = (1,) * axes
    stride, padding = _numbers(name, node, "stride", axes), _numbers(name, node, "padding", axes, least=0)
    out = []
    for axis, n in enumerate(space):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        if n + 2 * padding[axis] < reach:
            raise UserError(
                f"node {name!r}: its kernel reaches over {reach} values, more than the {n + 2 * padding[axis]} of its "
                f"input of {n} with padding {padding[axis]}"
            )
        out.append((n + 2 * padding[axis] - reach) // stride[axis] + 1)
    one, none = (1,) * (2 - axes), (0,) * (2 - axes)  # a line is a map of one row
    fields = (channels, *one, *space, out_channels, *one, *out, *one, *kernel, *one, *stride, *none, *padding, *one,
              *dilation, groups)  # fmt: skip
    return Geometry._make(fields)


def out_shape(node: nir.NIRNode, window: Geometry) -> tuple[int, ...]:
    """The shape that a node with this window puts out."""
    space = (window.out_height, window.out_width)
    return (window.out_channels, *space[isinstance(node, nir.Conv1d) :])


def laid_out(node: nir.Conv1d | nir.Conv2d, window: Geometry) -> np.ndarray:
    """The weights of a convolution in the order of `Geometry.kernel`."""
    g = window
    inside = g.channels // g.groups
    # (groups, fan, inside, y, x) -> (groups, inside, y, x, fan)
    split = node.weight.reshape(g.groups, g.fan, inside, g.kernel_height, g.kernel_width)
    return np.ascontiguousarray(split.transpose(0, 2, 3, 4, 1)[:, :, :, g.order])


def _numbers(name: str, node: nir.NIRNode, field: str, axes: int, least: int = 1) -> tuple[int, ...]:
    """A number an axis. Raises UserError where it is none, or is named."""
    value = getattr(node, field)
    if isinstance(value, str | bytes):
        raise UserError(f"node {name!r}: {field} {value!r} is a name; give numbers, which other tools read alike")
    found = np.ravel(np.asarray(value))
    if found.size not in (1, axes) or found.dtype.kind not in "iuf" or np.any(found != np.floor(found)):
        raise UserError(f"node {name!r}: {field} is {value!r}; {axes} whole numbers are needed")
    if found.min() < least or found.max() > MOST:
        raise UserError(f"node {name!r}: {field} is {value!r}; {least} to {MOST:,} can be run")
    return tuple(int(v) for v in np.broadcast_to(found, axes))
