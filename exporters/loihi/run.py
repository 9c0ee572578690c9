"""Run the exported network in Lava on a text: python run.py --text "In the beginning" (needs lava-nc and numpy)."""

import argparse
import hashlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the folder stays what its manifest says
sys.path.insert(0, str(HERE / "lava_runtime"))
BAD_INPUT, CRASHED, INTERRUPTED, UNREAD, TERMINATED = 2, 70, 130, 141, 143  # exit codes
WEIGHTS = "weights.npz"
TOKENIZER = "tokenizer.json"  # beside this file, for a network whose tokens are not bytes
SHOWN = 400  # characters of what a damaged file holds
LONGEST = 64 << 20  # bytes of a document
NOTHING: np.ndarray = np.empty((0, 0))


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))  # through every `finally`
    try:
        check_folder()
        run()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(UNREAD)
    except KeyboardInterrupt:
        print("run.py: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception:
        traceback.print_exc()
        sys.exit(CRASHED)


def check_folder() -> None:
    """End with a line unless every file of this folder is what it was when it was exported."""
    try:
        known = document("manifest.json")["files"]
        changed = [name for name in (WEIGHTS, TOKENIZER) if name not in known and (HERE / name).exists()]
        changed += [
            name for name, digest in known.items() if not (HERE / name).is_file() or sha256(HERE / name) != digest
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        print(f"run.py: {HERE / 'manifest.json'} is missing or damaged ({ascii(str(error))[:SHOWN]})", file=sys.stderr)
        sys.exit(BAD_INPUT)
    if changed:
        print(f"run.py: changed since the export: {', '.join(map(ascii, changed))[:SHOWN]}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def document(name: str) -> Any:
    """The JSON in a file of this folder. Raises ValueError for what is no regular file, or too long."""
    place = HERE / name
    if place.exists() and not place.is_file():
        raise ValueError("not a regular file")
    with place.open("rb") as file:
        text = file.read(LONGEST + 1)
    if len(text) > LONGEST:
        raise ValueError(f"{name}: more than {LONGEST:,} bytes")
    return json.loads(text)


def sha256(place: Path) -> str:
    """The digest of a file, read in parts."""
    digest = hashlib.sha256()
    with place.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def run() -> None:
    """Score what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="the text to score; its bytes are the tokens")
    what.add_argument("--tokens", type=Path, help="instead of a text, a .npy of tokens (T,)")
    parser.add_argument("--out", help="a new .npz for the logits (T, V) and the spikes (T, n) by population")
    arguments = parser.parse_args()
    if arguments.out == "":
        parser.error("--out: an empty name")
    from exporters.loihi.lava import supervisor
    from hw_sim.plan import Plan
    from spikegpt import files
    from spikegpt.arrays import read_arrays
    from spikegpt.errors import UserError

    try:
        if arguments.out:
            files.check(Path(arguments.out))
        plan = Plan.load(HERE / WEIGHTS)
        if arguments.text is not None:
            text = arguments.text.encode()
            tokens = tokenizer(plan.n_vocab).encode(text)
        else:
            tokens = read_arrays(arguments.tokens).get("", NOTHING)
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            parser.error(f"{arguments.tokens}: whole numbers (T,) are needed, as numpy.save writes them")
        if len(tokens) < 2 or tokens.min() < 0 or tokens.max() >= plan.n_vocab:
            parser.error(f"at least 2 tokens of 0 to {plan.n_vocab - 1} are needed")
        found = supervisor.run(plan, tokens)
        if arguments.out:
            arrays: dict[str, Any] = {"logits": found.logits, **found.spikes}
            files.write(Path(arguments.out), lambda file: np.savez_compressed(file, **arrays), signed=True)
    except (UserError, OSError, ValueError, RecursionError) as error:
        said = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(error))
        print(f"run.py: {said[:SHOWN]}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    logits = found.logits.astype(np.float64)
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
    found = default_tokenizer(n_vocab)
    if place.exists():
        told = document(TOKENIZER)
        if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
            raise UserError(f"{place}: it describes no tokenizer")
        found = tokenizer_from_dict(told)
    if found is None:
        raise UserError(f"the {n_vocab} tokens of this network are not bytes: pass --tokens FILE.npy")
    return found


if __name__ == "__main__":
    main()
