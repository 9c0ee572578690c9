"""Fixed-point process models of the stages: each executes its rows by the integer step functions.

All stages of one token run within one time step: a stage waits for its signals, computes and sends. At the last
step every stage leaves its spikes (and the last one the logits) in a file of the run's folder.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from exporters.loihi.lava.blocks.processes.process import FirstStage, LastStage, MiddleStage
from exporters.loihi.lava.watch import SIGNAL_LIMIT, tell
from hw_sim.plan.interpreter import Interpreter


class StageModel(PyLoihiProcessModel):
    """What all stages do; params: plan, rows, tokens (T,), receive, carry (of signals), number, label, folder."""

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.interpreter = Interpreter(proc_params["plan"], proc_params["rows"])
        with suppress(OSError):
            Path("/proc/self/comm").write_text(proc_params["label"])  # what ps and top show
        self.raster: list[np.ndarray] = []
        self.logits: list[np.ndarray] = []
        self.folder = Path(proc_params["folder"])
        self.steps = np.load(self.folder / "steps.npy", mmap_mode="r+")  # steps done by stage, read by the supervisor

    def advance(self, received):
        """Run the rows for the token of this time step; returns the signals to hand on, int32.

        An error is printed for the supervisor before it is raised.
        """
        try:
            return self.execute(received)
        except Exception as error:
            tell(self.proc_params["label"], error)
            raise

    def execute(self, received):
        params, tokens = self.proc_params, self.proc_params["tokens"]
        if received is not None:
            self.interpreter.signals[params["receive"]] = received
        output = self.interpreter.step(int(tokens[self.time_step - 1]))
        self.raster.append(self.interpreter.spikes.copy())
        if output is not None:
            self.logits.append(output)
        if self.time_step == len(tokens):
            file = self.folder / f"stage{params['number']}.npz"
            np.savez(file, spikes=np.array(self.raster), logits=np.array(self.logits))
        carried = self.interpreter.signals[params["carry"]]
        if carried.size and np.abs(carried).max() > SIGNAL_LIMIT:
            raise OverflowError(f"a signal of {np.abs(carried).max()} does not fit 32 bits")
        self.steps[params["number"]] = self.time_step
        return carried.astype(np.int32)


@implements(proc=FirstStage, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyFirstStageModel(StageModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        self.s_out.send(self.advance(None))


@implements(proc=MiddleStage, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyMiddleStageModel(StageModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        self.s_out.send(self.advance(self.a_in.recv()))


@implements(proc=LastStage, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLastStageModel(StageModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def run_spk(self):
        self.advance(self.a_in.recv())
