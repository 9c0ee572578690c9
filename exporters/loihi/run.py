"""Run the exported network in Lava on a text: python run.py --text "In the beginning" (needs lava-nc and numpy)."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the folder stays what its manifest says
sys.path.insert(0, str(HERE / "lava_runtime"))
BAD_INPUT, INTERRUPTED = 2, 130  # exit codes
TOKENIZER = "tokenizer.json"  # beside this file, for a network whose tokens are not bytes
NOTHING: np.ndarray = np.empty((0, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="the text to score; its bytes are the tokens")
    what.add_argument("--tokens", type=Path, help="instead of a text, a .npy of tokens (T,)")
    parser.add_argument("--out", type=Path, help="a new .npz for the logits (T, V) and the spikes (T, n) by population")
    arguments = parser.parse_args()
    from exporters.loihi.lava import supervisor
    from hw_sim.plan import Plan
    from spikegpt.arrays import read_arrays
    from spikegpt.errors import UserError

    try:
        plan = Plan.load(HERE / "weights.npz")
        if arguments.text is not None:
            text = arguments.text.encode()
            tokens = tokenizer(plan.n_vocab).encode(text)
        else:
            tokens = read_arrays(arguments.tokens).get("", NOTHING)
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            parser.error(f"{arguments.tokens}: whole numbers (T,) are needed, as numpy.save writes them")
        if len(tokens) < 2 or tokens.min() < 0 or tokens.max() >= plan.n_vocab:
            parser.error(f"at least 2 tokens of 0 to {plan.n_vocab - 1} are needed")
        run = supervisor.run(plan, tokens)
        if arguments.out:
            save(arguments.out, {"logits": run.logits, **run.spikes})
    except (UserError, OSError, ValueError) as error:
        print(f"run.py: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("run.py: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    logits = run.logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    bits = -log_p[np.arange(len(tokens) - 1), tokens[1:].astype(int)].sum() / np.log(2)
    per_token = f"{bits / (len(tokens) - 1):.4f} bits per token over {len(tokens) - 1} tokens"
    if arguments.text is None:
        print(per_token)
        return
    first = len(tokenizer(plan.n_vocab).decode(tokens[:1]))  # bytes of the token that nothing predicts
    if len(tokens) == len(text):
        print(f"{bits / (len(text) - first):.4f} bits per byte over {len(text) - first} bytes")
    else:
        print(f"{bits / (len(text) - first):.4f} bits per byte over {len(text) - first} bytes; {per_token}")


def tokenizer(n_vocab: int) -> Any:
    """How this network's text becomes tokens. Raises UserError where nobody said."""
    from spikegpt.errors import UserError
    from spikegpt.tokenizer import default_tokenizer, tokenizer_from_dict

    place = HERE / TOKENIZER
    found = tokenizer_from_dict(json.loads(place.read_bytes())) if place.exists() else default_tokenizer(n_vocab)
    if found is None:
        raise UserError(f"the {n_vocab} tokens of this network are not bytes: pass --tokens FILE.npy")
    return found


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
