"""The part of this project that runs an integer plan in Lava, as a folder that needs lava-nc and numpy alone.

The exported folder carries it, and the supervised child imports nothing else: any interpreter with Lava can run it.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Packages and modules of this project as they are; they import only each other, numpy and, in the child, lava-nc.
MODULES = ("arrays", "errors", "files", "kinds", "temporaries", "tokenizer")
PARTS = ("exporters/loihi/lava", "hw_sim/plan", *(f"spikegpt/{name}.py" for name in MODULES))


def write_runtime(folder: Path) -> None:
    """Fill `folder`, which goes on the path as it is; works from the project as well as from such a folder."""
    for part in PARTS:
        files = sorted((ROOT / part).rglob("*.py")) or [ROOT / part]
        for file in files:
            target = folder / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
            for above in target.relative_to(folder).parents[:-1]:
                (folder / above / "__init__.py").touch()  # else an installed spikegpt would win
