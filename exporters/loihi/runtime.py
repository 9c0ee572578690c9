"""The part of this project that runs an integer plan in Lava, as a folder that needs lava-nc and numpy alone.

The exported folder carries it, and the supervised child imports nothing else: any interpreter with Lava can run it.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Files of this project as they are; each imports only the others, numpy and, in the child, lava-nc.
RUNTIME = {
    "exporters/loihi": ("compat.py", "runtime.py", "stages.py", "supervisor.py", "watch.py", "worker.py"),
    "exporters/loihi/processes": ("__init__.py", "process.py", "models.py"),
    "hw_sim": ("plan.py", "interpreter.py", "fixed_point.py"),
    "spikegpt": ("errors.py",),
}


def write_runtime(folder: Path, runtime: dict[str, tuple[str, ...]] = RUNTIME) -> None:
    """Fill `folder`, which goes on the path as it is; works from the project as well as from such a folder."""
    for package, files in runtime.items():
        target = folder / package
        target.mkdir(parents=True, exist_ok=True)
        for above in (target, *target.parents):
            if above == folder:
                break
            (above / "__init__.py").touch()  # else an installed spikegpt would win
        for name in files:
            (target / name).write_bytes((ROOT / package / name).read_bytes())
