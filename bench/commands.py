"""How long every command takes, from the start of its process to the end, on a machine that does nothing else.

    python bench/commands.py [--rounds 3] > table.md

*first* has an empty cache of numba, as behind an installation, and runs once; *cold* is the median of fresh processes
that find the cache filled. Prints the table of docs/times.md, and what it was taken on. Takes ten minutes.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

# As in their help, but in an order in which all find what they read; `train` takes ten steps, to time its start.
COMMANDS = (
    "--help",
    "models",
    "profiles",
    "tokenize kjv --out out/kjv",
    "train --width 64 --ctx 64 --steps 10 --density 0.05 --out runs/a",
    "plot runs/a --out out/curves.svg",
    "eval shipped:kjv --tokens 4096",
    "generate shipped:kjv --tokens 60",
    "info shipped:kjv",
    "export shipped:kjv --target nir --out out/nir",
    "export shipped:kjv --target onnx --out out/onnx",
    "export shipped:kjv --target torch --out out/torch",
    "export shipped:kjv --target loihi --tokens 2000 --out out/loihi",
    "export shipped:kjv --target sanafe --out out/sanafe",
    "info out/nir --block all --svg out/network.svg",
    "generate out/nir --tokens 60",
    "check shipped:kjv --target loihi",
    "verify out/loihi --tokens 16",
    "count shipped:kjv --data kjv --tokens 1000",
    "simulate shipped:kjv --tokens 1000",
    "raster shipped:kjv --out out/r.html",
    "replay out/nir/segments/block0_ffn_key.nir",
    "energy-report shipped:kjv --tokens 4096 --out out/report",
    "energy-report --preset 260m --rate 0.15",
    "compare out/report shipped:kjv --tokens 2000 --out out/compare.html",
)
AGAIN = {"train": " --force"}  # what would not write over its own run
LIMIT_S = 600
CPU = Path("/proc/cpuinfo")


def timed(command: str, place: Path, cache: Path) -> float:
    """Seconds of a fresh process, from its start to its end. Raises SystemExit where the command fails."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    started = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "spikegpt", *shlex.split(command)],
        cwd=place, env=env, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    if ended.returncode:
        sys.exit(f"spikegpt {command}: exit code {ended.returncode}\n{ended.stderr}")
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="cold processes a command")
    chosen = parser.parse_args()
    print("| `spikegpt ..` | first, s | cold, s |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="spikegpt-commands-") as folder:
        place = Path(folder)
        for i, command in enumerate(COMMANDS):
            first = timed(command, place, place / f"cache{i}")
            repeated = command + AGAIN.get(command.split()[0], "")
            cold = median(timed(repeated, place, place / f"cache{i}") for _ in range(chosen.rounds))
            print(f"| `{command}` | {first:.1f} | {cold:.1f} |", flush=True)
    cpu = next((line.split(": ")[1] for line in CPU.read_text().splitlines() if line.startswith("model name")), "?")
    print(f"\n{cpu}, {os.cpu_count()} cores; Python {platform.python_version()}, torch {version('torch')}, numba "
          f"{version('numba')}; first once, cold the median of {chosen.rounds}")  # fmt: skip


if __name__ == "__main__":
    main()
