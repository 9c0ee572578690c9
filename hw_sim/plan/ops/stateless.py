"""Operations on the vectors of one token that keep nothing for the next."""

from math import isqrt
from typing import ClassVar

import numpy as np

from hw_sim.plan import fixed_point as fp
from hw_sim.plan import floating_point as fl
from hw_sim.plan.ops.operation import Op, Operation, largest


class Embed(Operation):
    """y = row x, the token, of the table (n_in, n_out)."""

    op = Op.EMBED
    reads = ()

    def parameters(self, row, integer):
        return ((row.n_in, row.n_out),)

    def integer(self, given, x, z, state):
        return given.parameters[0][x]

    def reach(self, given, x=0, z=0):
        return largest(given.parameters[0])


class Copy(Operation):
    """y = x."""

    op = Op.COPY

    def integer(self, given, x, z, state):
        return x


class Output(Copy):
    """x is handed out."""

    op = Op.OUTPUT
    writes = False


class Add(Operation):
    """y = x + z."""

    op = Op.ADD
    reads = ("x", "z")
    per_channel: ClassVar = {"add": 1}

    def integer(self, given, x, z, state):
        return x + z

    def reach(self, given, x=0, z=0):
        return x + z


class Offset(Operation):
    """y = x + c."""

    op = Op.OFFSET
    per_channel: ClassVar = {"add": 1}

    def parameters(self, row, integer):
        return ((row.n_out,),)

    def integer(self, given, x, z, state):
        return x + given.parameters[0]

    def reach(self, given, x=0, z=0):
        return x + largest(given.parameters[0])


class Multiply(Operation):
    """y = x z."""

    op = Op.MULTIPLY
    reads = ("x", "z")
    per_channel: ClassVar = {"mul": 1}

    def integer(self, given, x, z, state):
        return fp.multiply(x, z)

    def real(self, given, x, z, state):
        return x * z

    def reach(self, given, x=0, z=0):
        return (x * z >> fp.FRACTION_BITS) + 1


class Scale(Operation):
    """y = x c; integers are then divided by 2^shift."""

    op = Op.SCALE
    per_channel: ClassVar = {"mul": 1}

    def parameters(self, row, integer):
        return ((row.n_out,),)

    def integer(self, given, x, z, state):
        return fp.scale(x, given.parameters[0], given.row.shift)

    def real(self, given, x, z, state):
        return x * given.parameters[0]

    def reach(self, given, x=0, z=0):
        return (x * largest(given.parameters[0]) >> given.row.shift) + 1


class LayerNorm(Operation):
    """y = (x - mean) / std * weight + bias; the last parameter is eps, the only one where `shift` is 1: a bare norm."""

    op = Op.LAYER_NORM
    per_channel: ClassVar = {"mul": 3, "add": 4}  # square, scale, weight; mean, centre, variance, bias
    per_node: ClassVar = {"sqrt": 1, "div": 3}  # the two means and the inverse root

    def parameters(self, row, integer):
        return ((1,),) if row.shift else ((row.n_out,), (row.n_out,), (1,))

    def elementwise(self, row):
        bare = {"mul": 2 * row.n_out, "add": 3 * row.n_out, **self.per_node}
        return bare if row.shift else super().elementwise(row)

    def integer(self, given, x, z, state):
        *affine, eps = given.parameters
        weight, bias = affine or (np.int64(1 << fp.GAIN_BITS), np.int64(0))
        return fp.layer_norm(x, weight, bias, int(eps[0]))

    def real(self, given, x, z, state):
        *affine, eps = given.parameters
        weight, bias = affine or (x.dtype.type(1), x.dtype.type(0))
        return fl.layer_norm(x, weight, bias, eps[0])

    def reach(self, given, x=0, z=0):
        # |x - mean| is at most sqrt(n - 1) times the standard deviation; the integer root is up to 1 % short.
        *affine, _ = given.parameters
        weight, bias = map(largest, affine) if affine else (1 << fp.GAIN_BITS, 0)
        normal = (isqrt(given.row.n_in) + 1) * (65 << fp.NORM_BITS - 6)
        return (normal * weight >> fp.NORM_BITS + fp.GAIN_BITS - fp.FRACTION_BITS) + bias + 1

    def inside(self, given, x, before, after):
        return {"LayerNorm input": x}


class Sigmoid(Operation):
    """y = 1 / (1 + e^-x)."""

    op = Op.SIGMOID
    per_channel: ClassVar = {"exp": 1, "div": 1, "add": 1}

    def integer(self, given, x, z, state):
        return fp.sigmoid(x)

    def real(self, given, x, z, state):
        return fl.sigmoid(x)

    def reach(self, given, x=0, z=0):
        return fp.ONE


class SquaredRelu(Operation):
    """y = max(x, 0)^2."""

    op = Op.SQUARED_RELU
    per_channel: ClassVar = {"mul": 1, "cmp": 1}

    def integer(self, given, x, z, state):
        return fp.squared_relu(x)

    def real(self, given, x, z, state):
        return fl.squared_relu(x)

    def reach(self, given, x=0, z=0):
        return (x**2 >> fp.FRACTION_BITS) + 1
