"""The child process in which Lava runs: `python -m exporters.loihi.lava.blocks.worker FOLDER`, started by `supervisor`.

FOLDER holds weights.npz, tokens.npy and steps.npy; every stage leaves stage<k>.npz there. Lava hangs after a failure
instead of ending, so `stop` is called only after success, and the parent kills whatever is left.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from exporters.loihi.lava.blocks.cut import cut
from exporters.loihi.lava.compat import INSTALL, import_lava
from exporters.loihi.lava.watch import ERROR, run_watched
from hw_sim.plan import Plan


def main(folder: Path) -> int:
    """Run all tokens through the Lava network; returns the exit code."""
    try:
        import_lava()
    except ImportError as error:
        print(f"{ERROR} lava-nc cannot be imported by {sys.executable} ({error}): {INSTALL}", flush=True)
        return 1
    from lava.magma.core.run_configs import Loihi2SimCfg

    from exporters.loihi.lava.blocks.processes.process import FirstStage, LastStage, MiddleStage

    plan, tokens = Plan.load(folder / "weights.npz"), np.load(folder / "tokens.npy")
    stages = cut(plan)
    processes: list[Any] = []
    for k, stage in enumerate(stages):
        kind = FirstStage if k == 0 else LastStage if k == len(stages) - 1 else MiddleStage
        process = kind(
            plan=plan, rows=stage.rows, receive=stage.receive, carry=stage.carry, label=stage.label, number=k,
            tokens=tokens, folder=str(folder), name=stage.label,
        )  # fmt: skip
        if processes:
            processes[-1].s_out.connect(process.a_in)
        processes.append(process)
    run_watched(processes[0], len(tokens), Loihi2SimCfg(select_tag="fixed_pt"))
    processes[0].stop()
    (folder / "done").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
