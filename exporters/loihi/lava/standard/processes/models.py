"""Fixed-point models of our own operators: each is an operation of hw_sim.plan.ops on the vectors of one token.

An operator works, and its state moves, only in the steps in which a token has reached it; before and after that it
sends zeros. So a standard LIF or delay behind it still has its initial state when the first token arrives.
"""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from exporters.loihi.lava.standard.processes import process as processes
from exporters.loihi.lava.watch import SIGNAL_LIMIT, tell
from hw_sim.plan import OPERATIONS, Op
from hw_sim.plan import fixed_point as fp


def fixed_point_model(proc):
    """Class decorator: the fixed-point CPU model of a process class."""

    def decorate(model):
        return implements(proc=proc, protocol=LoihiProtocol)(requires(CPU)(tag("fixed_pt")(model)))

    return decorate


class ReceiverModel(PyLoihiProcessModel):
    """Receives on all ports and handles what belongs to the token that is there, if one is."""

    ports: tuple[str, ...] = ()

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.params = proc_params

    def run_spk(self):
        """One time step. An error is printed for the supervisor before it is raised: Lava may hang without a word."""
        try:
            self.advance([getattr(self, port).recv().astype(np.int64) for port in self.ports])
        except Exception as error:
            tell(self.params["label"], error)
            raise

    def token(self, depth):
        """The number of the token that arrives at this depth in this step; None if none does."""
        token, between = divmod(self.time_step - 1 - depth, self.params["period"])
        return token if not between and 0 <= token < self.params["n_tokens"] else None

    def advance(self, received):
        raise NotImplementedError


class OperatorModel(ReceiverModel):
    """Sends the result for the token that is there, or zeros."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def advance(self, received):
        token = self.token(self.params["depth"])
        y = np.zeros(self.params["n"], np.int64) if token is None else self.compute(token, *received)
        if np.abs(y).max() > SIGNAL_LIMIT:
            raise OverflowError(f"a signal of {np.abs(y).max()} does not fit 32 bits")
        self.s_out.send(y.astype(np.int32))

    def compute(self, token, *received):
        """The output (n,) int64 for the token with this number."""
        raise NotImplementedError


def saturate(y, limit):
    return y if limit is None else np.clip(y, -limit, limit)


@fixed_point_model(processes.Embedding)
class EmbeddingModel(OperatorModel):
    def compute(self, token):
        return self.params["table"][self.params["tokens"][token]]


@fixed_point_model(processes.Generator)
class GeneratorModel(OperatorModel):
    """Sends before it receives: what it sends reaches it again, as the next token, within the same step."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.tokens = proc_params["tokens"].tolist()

    def advance(self, received):
        super().advance(received)
        (likeliest,) = self.a_in.recv().tolist()
        if self.token(self.params["latency"]) == len(self.tokens) - 1:
            self.tokens.append(likeliest)

    def compute(self, token):
        return self.params["table"][self.tokens[token]]


class OperationModel(OperatorModel):
    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.state = None if proc_params["state"] is None else proc_params["state"].copy()

    def compute(self, _, x, z=None):
        operation = self.params["operation"]
        y = operation.integer(self.params["given"], x, z, self.state)
        return saturate(y // fp.ONE if operation.fires else y, self.params["limit"])


@fixed_point_model(processes.Unary)
class UnaryModel(OperationModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    ports = ("a_in",)


@fixed_point_model(processes.Binary)
class BinaryModel(OperationModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    b_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    ports = ("a_in", "b_in")


@fixed_point_model(processes.Mix)
class MixModel(OperatorModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    b_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    ports = ("a_in", "b_in")

    def compute(self, _, *ab):
        scale = OPERATIONS[Op.SCALE].integer
        parts = (scale(given, x, None, None) for given, x in zip(self.params["given"], ab, strict=True))
        return saturate(sum(parts), self.params["limit"])


@fixed_point_model(processes.Logits)
class LogitsModel(ReceiverModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    ports = ("a_in",)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.logits = np.zeros((proc_params["n_tokens"], proc_params["n"]), np.int64)

    def advance(self, received):
        token = self.token(self.params["depth"])
        if token is not None:
            self.logits[token] = received[0]
        if token == len(self.logits) - 1:
            np.savez(self.params["results"], logits=self.logits)
        self.s_out.send(np.array([received[0].argmax()], np.int32))


@fixed_point_model(processes.Recorder)
class RecorderModel(ReceiverModel):
    p0: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    p1: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    p2: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    p3: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    p4: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    p5: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    p6: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    p7: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        n_tokens, widths = proc_params["n_tokens"], proc_params["widths"]
        self.ports = processes.Recorder.ports[: len(widths)]
        self.trains = [np.zeros((n_tokens, n), np.uint8) for n in widths]

    def advance(self, received):
        params = self.params
        for train, depth, spikes in zip(self.trains, params["depths"], received, strict=True):
            if (token := self.token(depth)) is not None:
                train[token] = spikes
        if self.token(params["depth"]) == params["n_tokens"] - 1:  # depth is that of the last population
            np.savez(params["results"], **dict(zip(params["names"], self.trains, strict=True)))
