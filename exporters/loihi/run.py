"""Run the exported network in Lava on a text: python run.py --text "In the beginning" (needs lava-nc and numpy)."""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lava_runtime"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", required=True, help="the text to score; its bytes are the tokens")
    tokens = np.frombuffer(parser.parse_args().text.encode(), np.uint8).astype(np.int64)
    if len(tokens) < 2:
        parser.error("--text needs at least 2 bytes")
    from exporters.loihi import worker
    from exporters.loihi.stages import cut
    from hw_sim.fixed_point import ONE
    from hw_sim.plan import Plan

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plan.npz").write_bytes((HERE / "plan.npz").read_bytes())
        np.save(folder / "tokens.npy", tokens)
        worker.main(folder)
        last = len(cut(Plan.load(HERE / "plan.npz"))) - 1
        logits = np.load(folder / f"stage{last}.npz")["logits"] / ONE
    logits = logits - logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    bits = -log_p[np.arange(len(tokens) - 1), tokens[1:]].mean() / np.log(2)
    print(f"{bits:.4f} bits per byte over {len(tokens) - 1} bytes")


if __name__ == "__main__":
    main()
