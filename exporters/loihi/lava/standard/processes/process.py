"""Operators of the network that have no standard Lava process: vectors in, one vector out, within one time step."""

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess


class Receiver(AbstractProcess):
    """What receives: ports in the order of their `widths`.

    Parameters of all: label; depth, the steps before the first token arrives; period, the steps from one to the next;
    n_tokens; widths; n, the width of the output; and the constants of the operator.
    """

    ports: tuple[str, ...] = ("a_in", "b_in")

    def __init__(self, **params):
        super().__init__(**params)
        for port, width in zip(self.ports, params["widths"], strict=False):
            setattr(self, port, InPort(shape=(width,)))


class Operator(Receiver):
    """What also sends a vector of `n` values."""

    def __init__(self, **params):
        super().__init__(**params)
        self.s_out = OutPort(shape=(params["n"],))


class Embedding(Operator):
    """The row of `table` (V, n) of each of `tokens` (T,)."""


class Generator(Embedding):
    """After the given tokens the one that `Logits` names, `latency` steps after the token before it."""

    def __init__(self, **params):
        super().__init__(**params)
        self.a_in = InPort(shape=(1,))


class Unary(Operator):
    """An `operation` of the plan with what is `given` of its row and the start of its `state` (vectors, n).

    See hw_sim.plan.ops; it saturates at `limit` if that is given, and spikes count 1.
    """


class Binary(Unary):
    """The same for an operation of two vectors."""


class Mix(Operator):
    """The sum of two Scales, `given` of each; saturates at `limit` if that is given."""


class Logits(Receiver):
    """Writes what arrives for each token, (T, n) int64, to the file `results`; sends the number of the largest."""

    def __init__(self, **params):
        super().__init__(**params)
        self.s_out = OutPort(shape=(1,))


class Recorder(Receiver):
    """Writes the spikes of up to 8 populations with these `names`, at `depths` of their own, to the file `results`."""

    ports = tuple(f"p{k}" for k in range(8))

    def __init__(self, **params):
        super().__init__(**params)
        for port in self.ports[len(params["widths"]) :]:  # a model needs all its ports; these stay open
            setattr(self, port, InPort(shape=(1,)))
