"""Run the exported network in Lava on a text: python run.py --text "In the beginning" (needs lava-nc and numpy)."""

import argparse
import sys
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the folder stays what its manifest says
sys.path.insert(0, str(HERE / "lava_runtime"))
BAD_INPUT, INTERRUPTED = 2, 130  # exit codes
BYTES = 256  # tokens of a network that reads bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="the text to score; its bytes are the tokens")
    what.add_argument("--tokens", type=Path, help="instead of a text, a .npy of tokens (T,)")
    parser.add_argument("--out", type=Path, help="a new .npz for the logits (T, V) and the spikes (T, n) by population")
    arguments = parser.parse_args()
    from exporters.loihi.lava import supervisor
    from hw_sim.plan import Plan
    from spikegpt.errors import UserError

    try:
        plan = Plan.load(HERE / "weights.npz")
        if arguments.text is not None and plan.n_vocab != BYTES:
            parser.error(f"the {plan.n_vocab} tokens of this network are not bytes: pass --tokens FILE.npy")
        text = arguments.text is not None
        tokens: Any = np.frombuffer(arguments.text.encode(), np.uint8) if text else np.load(arguments.tokens)
        if not isinstance(tokens, np.ndarray) or tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            parser.error(f"{arguments.tokens}: whole numbers (T,) are needed, as numpy.save writes them")
        if len(tokens) < 2 or tokens.min() < 0 or tokens.max() >= plan.n_vocab:
            parser.error(f"at least 2 tokens of 0 to {plan.n_vocab - 1} are needed")
        run = supervisor.run(plan, tokens)
        if arguments.out:
            save(arguments.out, {"logits": run.logits, **run.spikes})
    except (UserError, OSError, ValueError, EOFError, BadZipFile) as error:
        print(f"run.py: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("run.py: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    logits = run.logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    bits = -log_p[np.arange(len(tokens) - 1), tokens[1:].astype(int)].mean() / np.log(2)
    unit = "byte" if text else "token"
    print(f"{bits:.4f} bits per {unit} over {len(tokens) - 1} {unit}s")


def save(path: Path, arrays: dict[str, Any]) -> None:
    """Write an .npz beside its place, then rename it: never half of one."""
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            np.savez_compressed(file, **arrays)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
