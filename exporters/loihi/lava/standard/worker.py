"""The child process in which the standard network runs; `runner` starts it on a copy of the files that it needs.

FOLDER holds plan.npz, tokens.npy and n_tokens.npy; the network leaves logits.npz and recorder<k>.npz there. Lava hangs
after a failure instead of ending, so `stop` is called only after success, and the parent kills whatever is left.
"""

import sys
from pathlib import Path

import numpy as np

from exporters.loihi.lava.compat import import_lava
from exporters.loihi.lava.standard.schedule import schedule
from exporters.loihi.lava.watch import run_watched
from hw_sim.plan import Plan


def main(folder: Path) -> int:
    """Run all tokens through the network, until the last one has left it; those beyond tokens.npy are generated."""
    import_lava()
    from lava.magma.core.run_configs import Loihi2SimCfg

    from exporters.loihi.lava.standard.network import build

    plan, tokens = Plan.load(folder / "plan.npz"), np.load(folder / "tokens.npy")
    n_tokens = int(np.load(folder / "n_tokens.npy"))
    lowered = schedule(plan, generating=n_tokens > len(tokens))
    network = build(plan, lowered, tokens, n_tokens, folder)
    run_watched(network[0], lowered.steps(n_tokens), Loihi2SimCfg(select_tag="fixed_pt"))
    network[0].stop()
    (folder / "done").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
