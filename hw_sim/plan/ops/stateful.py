"""Operations that keep something from one token to the next: neurons, delays, attention over time."""

from typing import ClassVar

import numpy as np

from hw_sim.plan import fixed_point as fp
from hw_sim.plan import floating_point as fl
from hw_sim.plan.ops.operation import Op, Operation


class Lif(Operation):
    """Leaky integrate-and-fire neurons; `shift` is 1 where no membrane outlasts its token: they compare their input."""

    op = Op.LIF
    fires = True
    state_read = state_written = 1
    per_channel: ClassVar = {"mul": 1, "add": 2, "cmp": 1}

    def parameters(self, row, integer):
        # Decay and threshold; rate, r, v_leak, v_reset and v_threshold, or that alone.
        return ((row.n_out,),) * (2 if integer else 1 if row.shift else 5)

    def elementwise(self, row):
        return {"cmp": row.n_out} if row.shift else super().elementwise(row)

    def looks_back(self, row):
        return not row.shift

    def integer(self, given, x, z, state):
        spikes, state[0] = fp.lif(x, state[0], *given.parameters)
        return spikes * fp.ONE

    def real(self, given, x, z, state):
        spikes, state[0] = fl.fire(x, *given.parameters) if given.row.shift else fl.lif(x, state[0], *given.parameters)
        return spikes.astype(x.dtype)

    def reach(self, given, x=0, z=0):
        return fp.ONE

    def inside(self, given, x, before, after):
        return {"LIF input": x, "membrane": fp.kept(before[0], given.parameters[0]) + (x << fp.CURRENT_SHIFT)}


class If(Operation):
    """Integrate-and-fire neurons in floats: v += r x (those of an integer plan are LIFs of decay 0)."""

    op = Op.IF
    fires, whole = True, False
    state_read = state_written = 1
    per_channel: ClassVar = {"mul": 1, "add": 1, "cmp": 1}

    def parameters(self, row, integer):
        return ((row.n_out,),) * 3  # r, v_reset and v_threshold

    def real(self, given, x, z, state):
        spikes, state[0] = fl.integrate_and_fire(x, state[0], *given.parameters)
        return spikes.astype(x.dtype)


class Li(Operation):
    """Leaky integrators in floats, which put their state out: a membrane that never fires, a synaptic current; `shift`
    is 1 where nothing leaks."""

    op = Op.LI
    whole = False
    state_read = state_written = 1
    per_channel: ClassVar = {"mul": 2, "add": 3}

    def parameters(self, row, integer):
        return ((row.n_out,),) * (1 if row.shift else 3)  # r, or rate, r and v_leak

    def elementwise(self, row):
        return {"mul": row.n_out, "add": row.n_out} if row.shift else super().elementwise(row)

    def real(self, given, x, z, state):
        step = fl.integrate if given.row.shift else fl.leak
        state[0] = step(x, state[0], *given.parameters)
        return state[0]


class DelayRead(Operation):
    """y = s, which the DelayWrite of the same s stored at the token before; where `shift` is more than 1, so many
    tokens are kept, the last one first, and a parameter says which of them each channel hands out."""

    op = Op.DELAY_READ
    reads = ()
    state_read = 1

    def parameters(self, row, integer):
        return ((row.n_out,),) if row.shift > 1 else ()

    def vectors(self, row):
        return max(1, row.shift)

    def integer(self, given, x, z, state):
        if given.row.shift < 2:
            return state[0]
        return state[given.parameters[0].astype(np.int64) - 1, np.arange(given.row.n_out)]


class DelayWrite(Operation):
    """s = x, after the DelayRead of s, and what was there moves on by a token."""

    op = Op.DELAY_WRITE
    writes = False
    state_written = 1

    def vectors(self, row):
        return max(1, row.shift)

    def integer(self, given, x, z, state):
        state[1:] = state[:-1].copy()
        state[0] = x


class Wkv(Operation):
    """Attention over time: x is the key, z the value, the state (a, b, p), the parameters decay and bonus."""

    op = Op.WKV
    reads = ("x", "z")
    state_read = state_written = 3
    per_channel: ClassVar = {"mul": 4, "add": 8, "cmp": 2, "exp": 2, "div": 1}  # of two weights, the greater is 1

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

    def inside(self, given, x, before, after):
        return {"WKV numerator": after[0]}
