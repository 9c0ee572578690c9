"""Operations that keep something from one token to the next: neurons, delays, attention over time."""

from typing import ClassVar

import numpy as np

from hw_sim.plan import fixed_point as fp
from hw_sim.plan import floating_point as fl
from hw_sim.plan.ops.operation import Op, Operation


class Lif(Operation):
    """Leaky integrate-and-fire neurons; `shift` is 1 where no membrane outlasts its token."""

    op = Op.LIF
    fires = True
    state_read = state_written = 1
    per_channel: ClassVar = {"mul": 1, "add": 2, "cmp": 1}

    def parameters(self, row, integer):
        return ((row.n_out,),) * (2 if integer else 5)  # decay, threshold; rate, r, v_leak, v_reset, v_threshold

    def looks_back(self, row):
        return not row.shift

    def integer(self, given, x, z, state):
        spikes, state[0] = fp.lif(x, state[0], *given.parameters)
        return spikes * fp.ONE

    def real(self, given, x, z, state):
        spikes, state[0] = fl.lif(x, state[0], *given.parameters)
        return spikes.astype(x.dtype)

    def reach(self, given, x=0, z=0):
        return fp.ONE


class DelayRead(Operation):
    """y = s, which the DelayWrite of the same s stored at the token before."""

    op = Op.DELAY_READ
    reads = ()
    state_read = 1

    def integer(self, given, x, z, state):
        return state[0]


class DelayWrite(Operation):
    """s = x, after the DelayRead of s."""

    op = Op.DELAY_WRITE
    writes = False
    state_written = 1

    def integer(self, given, x, z, state):
        state[0] = x


class Wkv(Operation):
    """Attention over time: x is the key, z the value, the state (a, b, p), the parameters decay and bonus."""

    op = Op.WKV
    reads = ("x", "z")
    state_read = state_written = 3
    per_channel: ClassVar = {"mul": 6, "add": 10, "cmp": 2, "exp": 4, "div": 1}

    def parameters(self, row, integer):
        return (row.n_out,), (row.n_out,)

    def integer(self, given, x, z, state):
        y, *state[:] = fp.wkv(x, z, *state, *given.parameters)
        return y

    def real(self, given, x, z, state):
        y, *state[:] = fl.wkv(x, z, *state, *given.parameters)
        return y

    def reach(self, given, x=0, z=0):
        decay = given.parameters[0].astype(np.int64)
        return fp.wkv_reach(x, z, int((-decay).min()) / (1 << fp.EXPONENT_BITS))
