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


class HeldLif(Operator):
    """`decay` and `threshold` (n,): see fixed_point.lif; its membrane stands still while no token is there."""


class LayerNorm(Operator):
    """`weight` (n,), `bias` (n,), `eps`: see fixed_point.layer_norm."""


class Scale(Operator):
    """a * `factor` (n,) / 2^`shift`, rounded; saturates at `limit` if that is given."""


class Mix(Operator):
    """The sum of two Scales: a and b by `factors` (2, n) and `shifts` (2,); saturates at `limit` if that is given."""


class Matrix(Operator):
    """`weights` (n, n_in) int8 times a, in 64 bits."""


class Wkv(Operator):
    """Keys a and values b (n,); `decay` and `bonus` (n,), start of the `state` (3, n): see fixed_point.wkv."""


class Sigmoid(Operator):
    """See fixed_point.sigmoid."""


class Product(Operator):
    """a * b, rounded to a signal: see fixed_point.multiply."""


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
