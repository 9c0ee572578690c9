"""The child process in which Lava runs: `python -m exporters.loihi.worker FOLDER`, started by `supervisor`.

FOLDER holds plan.npz and tokens.npy; every stage leaves stage<k>.npz there. Lava hangs after a failure instead of
ending, so `stop` is called only after success, and the parent kills whatever is left.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from exporters.loihi.compat import import_lava
from exporters.loihi.stages import cut
from hw_sim.plan import Plan


def main(folder: Path) -> int:
    """Run all tokens through the Lava network; returns the exit code."""
    import_lava()
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    from exporters.loihi.processes.process import FirstStage, LastStage, MiddleStage

    plan, tokens = Plan.load(folder / "plan.npz"), np.load(folder / "tokens.npy")
    stages = cut(plan)
    processes: list[Any] = []
    for k, stage in enumerate(stages):
        kind = FirstStage if k == 0 else LastStage if k == len(stages) - 1 else MiddleStage
        process = kind(
            plan=plan, rows=stage.rows, receive=stage.receive, carry=stage.carry, label=stage.label,
            tokens=tokens, results=str(folder / f"stage{k}.npz"), name=stage.label,
        )  # fmt: skip
        if processes:
            processes[-1].s_out.connect(process.a_in)
        processes.append(process)
    try:
        processes[0].run(condition=RunSteps(num_steps=len(tokens)), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    except Exception as error:  # the process at fault has printed its own line before
        print("LAVA-ERROR", str(error) or "a process failed without a text", flush=True)
        raise
    processes[0].stop()
    (folder / "done").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
