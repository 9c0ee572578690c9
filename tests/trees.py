"""What lies in a folder, and what a writer forgot there."""

from pathlib import Path


def tree(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder: the bytes of files, None for folders."""
    return {str(f.relative_to(folder)): f.read_bytes() if f.is_file() else None for f in sorted(folder.rglob("*"))}


def leftovers(folder: Path) -> list[Path]:
    return [*folder.rglob(".*.part"), *folder.rglob(".*.ready")]
