"""A stage of the deployed network as a Lava process: some rows of an integer plan, signals in, signals out."""

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess


class FirstStage(AbstractProcess):
    """Feeds the tokens and runs the rows before the first cut; `carry` (n_out,) are the signals it hands on."""

    def __init__(self, **params):
        super().__init__(**params)
        self.s_out = OutPort(shape=(len(params["carry"]),))


class MiddleStage(AbstractProcess):
    """Runs the rows between two cuts, a block of the model: `receive` (n_in,) signals in, `carry` (n_out,) out."""

    def __init__(self, **params):
        super().__init__(**params)
        self.a_in = InPort(shape=(len(params["receive"]),))
        self.s_out = OutPort(shape=(len(params["carry"]),))


class LastStage(AbstractProcess):
    """Runs the rows behind the last cut and keeps the logits."""

    def __init__(self, **params):
        super().__init__(**params)
        self.a_in = InPort(shape=(len(params["receive"]),))
