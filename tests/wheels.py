"""The wheel in a fresh environment of every Python at hand, as a user gets it from pip:

    python -m tests.wheels [--python 3.12 ..] [--torch 3.11 ..]

Where torch is named (by default for the version that runs this) all of the wheel's requirements are installed and every
example of `--help` runs in an empty folder. Elsewhere torch stays away, gigabytes of it, and what needs none runs: the
same network must give the same counts and bits per byte there. Not collected by pytest: it downloads and takes minutes.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from email import message_from_string
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
HEAVY = ("torch", "snntorch")
FIRST = ("export", "energy-report", "train")  # of the examples: others read what they write
LIGHT = (
    "--help",
    "models",
    "profiles",
    "info --preset 45m",
    "tokenize kjv --out cut",
    "energy-report --preset 260m --rate 0.15 --out report",
    "info {nir} --svg block0.svg",
    "generate {nir}/model.nir --tokens 20 --temperature 0",
    "energy-report {nir}/model.nir --tokens 500 --out measured",
)
SAME = "simulate {nir}/model.nir --tokens 500 --json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser.add_argument("--python", nargs="*", default=VERSIONS, help="versions to try")
    parser.add_argument("--torch", nargs="*", default=(here,), help="versions that get torch too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spikegpt-wheels-") as folder:
        place = Path(folder)
        root = Path(__file__).parents[1]
        pip(sys.executable, "wheel", root, "--no-deps", "--wheel-dir", place / "wheel")
        (wheel,) = (place / "wheel").glob("*.whl")
        nir = place / "nir"
        run([sys.executable, "-m", "spikegpt", "export", "shipped:kjv", "--target", "nir", "--out", nir], root)
        expected = counted(run([sys.executable, "-m", "spikegpt", *shlex.split(SAME.format(nir=nir))], root))
        for number in chosen.python:
            if (python := interpreter(number)) is None:
                print(f"Python {number}: not at hand, not tried", flush=True)
                continue
            said = attempt(python, number in chosen.torch, wheel, nir, expected, place / number)
            print(f"Python {number}: {said}", flush=True)


def attempt(python: str, heavy: bool, wheel: Path, nir: Path, expected: dict, place: Path) -> str:
    """Install the wheel for a Python and run its commands; says what was tried. Raises CalledProcessError."""
    run([python, "-m", "venv", place / "venv"], place.parent)
    own = place / "venv" / "bin"
    if heavy:
        pip(own / "python", "install", f"torch=={version('torch').split('+')[0]}", wheel)
    else:
        pip(own / "python", "install", *light_requirements(wheel))
        pip(own / "python", "install", "--no-deps", wheel)
    (place / "empty").mkdir()
    spikegpt = own / "spikegpt"
    commands = examples(spikegpt) if heavy else [shlex.split(command.format(nir=nir)) for command in LIGHT]
    for command in commands:
        run([spikegpt, *command], place / "empty")
    found = counted(run([spikegpt, *shlex.split(SAME.format(nir=nir))], place / "empty"))
    assert found == expected, f"other numbers than here: {found} against {expected}"
    with_torch = "with torch, every example of --help" if heavy else "without torch, what needs none"
    shutil.rmtree(place)
    return f"{len(commands) + 1} commands ({with_torch}); same counts"


def light_requirements(wheel: Path) -> list[str]:
    """What the wheel requires, without torch and what brings it."""
    with ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        told = message_from_string(archive.read(name).decode()).get_all("Requires-Dist", [])
    return [r for r in told if "extra ==" not in r and re.split(r"[^\w-]", r)[0] not in HEAVY]


def examples(spikegpt: Path) -> list[list[str]]:
    """The examples of every command's help."""
    heading = re.compile(r"^  Example:\n((?:    .*\n)+)", re.MULTILINE)
    text = run([spikegpt, "--help"], spikegpt.parent)
    names = re.findall(r"^  ([a-z-]+)  +\S", text.split("Texts and models:")[1], re.MULTILINE)
    ordered = [*FIRST, *(name for name in names if name not in FIRST)]
    blocks = [heading.findall(run([spikegpt, name, "--help"], spikegpt.parent))[0] for name in ordered]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if not line.startswith("spikegpt verify")]  # needs Lava


def counted(text: str) -> dict:
    """What must be the same on every Python."""
    facts = json.loads(text)
    return {key: facts[key] for key in ("bits_per_byte", "synops", "macs", "spikes", "elementwise")}


def interpreter(number: str) -> str | None:
    """A Python of this version: of pyenv's, or on the path."""
    known = sorted(Path.home().glob(f".pyenv/versions/{number}.*/bin/python"))
    return str(known[-1]) if known else shutil.which(f"python{number}")


def pip(python: str | Path, *arguments: str | Path) -> None:
    run([python, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments], Path.cwd())


def run(command: Sequence[str | Path], place: Path) -> str:
    """Run a command; gives its standard output. Raises CalledProcessError, with what it said on standard error."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ended = subprocess.run([str(word) for word in command], cwd=place, env=env, capture_output=True, text=True)
    if ended.returncode:
        print(ended.stderr[-2000:], file=sys.stderr)
        ended.check_returncode()
    return ended.stdout


if __name__ == "__main__":
    main()
