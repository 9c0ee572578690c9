"""Run by test_bundle.py in a supervised child: a .net file loaded by lava-dl's netx, on recorded spikes.

Usage: python -m tests.netx_chain FILE.net FOLDER; reads input.npy (T, n_in), leaves output.npy (T, n_out) and done.
"""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from exporters.loihi.lava.compat import import_lava
from exporters.loihi.lava.watch import run_watched


def main(net: Path, folder: Path) -> None:
    import_lava()
    # netx asks slayer for the parameters of a neuron that these files do not hold; slayer would import torch and more.
    for name in ("slayer", "slayer.neuron", "slayer.neuron.rf", "netx.sequential_modules"):
        sys.modules[f"lava.lib.dl.{name}"] = ModuleType(name)
    sys.modules["lava.lib.dl.slayer.neuron.rf"].neuron_params = None
    from lava.lib.dl.netx.hdf5 import Network
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    spikes = np.load(folder / "input.npy")
    network = Network(net_config=str(net))
    source, sink = Source(data=spikes.T.astype(np.int32)), Sink(shape=network.out.shape, buffer=len(spikes) + 1)
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    run_watched(source, len(spikes) + 1, Loihi2SimCfg(select_tag="fixed_pt"))
    np.save(folder / "output.npy", sink.data.get().T[1:])  # a Dense hands on what came one step before
    source.stop()
    (folder / "done").touch()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
