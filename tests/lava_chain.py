"""Run by test_lava.py in a supervised child: a chain of LIF, Dense, LIF from Lava's own library on recorded input.

Usage: python -m tests.lava_chain FOLDER; reads chain.npz, leaves spikes.npy and done.
"""

import sys
from pathlib import Path

import numpy as np

from exporters.loihi.lava.compat import import_lava


def main(folder: Path) -> None:
    import_lava()
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.dense.process import Dense
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.lif.process import LIF
    from lava.utils.weightutils import SignMode

    chain = np.load(folder / "chain.npz")
    spikes, weight, steps = chain["spikes"], chain["weight"], len(chain["spikes"])
    source = Source(data=spikes.T.astype(np.int32))
    # Mixed-sign weights lose their lowest bit: twice the weight at exponent -1 is exact.
    dense = Dense(weights=2 * weight.astype(np.int32), weight_exp=-1, num_message_bits=0, sign_mode=SignMode.MIXED)
    lif = LIF(shape=(len(weight),), du=4095, dv=int(chain["decay"]), vth=chain["threshold"], bias_mant=0, bias_exp=0)
    sink = Sink(shape=(len(weight),), buffer=steps + 1)
    source.s_out.connect(dense.s_in)
    dense.a_out.connect(lif.a_in)
    lif.s_out.connect(sink.a_in)
    lif.run(condition=RunSteps(num_steps=steps + 1), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    np.save(folder / "spikes.npy", sink.data.get())
    lif.stop()
    (folder / "done").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
