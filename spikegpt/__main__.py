"""`python -m spikegpt`, and the `spikegpt` command: the command line of this installation, whatever else is called so.

The packages beside this one have common names. A folder `cli` of the user's own, on PYTHONPATH or where the command
starts, would be found in its place.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
BESIDE = ("cli", "exporters", "hw_sim")


def main() -> None:
    """Run the command line and exit."""
    if not all(ours(name) for name in BESIDE):
        sys.path.insert(0, str(HOME))
    from cli.main import main as run

    run()


def ours(name: str) -> bool:
    """Whether a package that would be imported lies beside this one."""
    found = find_spec(name)
    return found is not None and found.origin is not None and Path(found.origin).resolve().is_relative_to(HOME)


if __name__ == "__main__":
    main()
