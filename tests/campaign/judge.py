"""One mutant: a file changed, the command run on it, and a word for what came of it."""

import hashlib
import shutil
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.campaign.damage import DAMAGE, Rng
from tests.campaign.kinds import Kind, Notices, Target
from tests.campaign.trial import Said, attempt, attempt_here, printed_place, value_of

BAD_INPUT = 2
SAME, REFUSED, OTHER = "same", "refused", "other content"
TRACEBACK, HANG, MEMORY, FILES, SILENT = "traceback", "hang", "memory", "file lost or half", "accepted silently"
GOOD, BAD = (SAME, REFUSED, OTHER), (TRACEBACK, HANG, MEMORY, FILES, SILENT)
FAMILIES = ("damage", "forgery", "special")
WEIGHTS = (0.5, 0.46, 0.04)


@dataclass(frozen=True)
class Verdict:
    """What came of a mutant: one of GOOD or BAD, how it was made, and for BAD where or what."""

    kind: str
    number: int
    mutator: str
    outcome: str
    note: str
    cpu_s: float
    memory: int


def fifo(path: Path) -> None:
    import os

    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to(target: str) -> Callable[[Path], None]:
    def link(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    link.__name__ = f"link to {target}"
    return link


def empty(path: Path) -> None:
    path.write_bytes(b"")


SPECIAL: tuple[Callable[[Path], None], ...] = (
    fifo, folder, empty, Path.unlink, link_to("/dev/zero"), link_to("nowhere"), link_to("/proc/self/mem"),
)  # fmt: skip


def copy(stock: Path, names: set[str], to: Path) -> None:
    """A fresh folder with the named files and folders of the stock."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for name in names:
        source, place = stock / name, to / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place)
        else:
            shutil.copyfile(source, place)


def contents(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, with its digest; what is no regular file by its type."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[str(path.relative_to(folder))] = "special"
        elif path.is_file():
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[str(path.relative_to(folder))] = "folder"
    return found


def prepare(kind: Kind, stock: Path, work: Path) -> None:
    """The files that a kind reads, in a fresh folder."""
    copy(stock, {*kind.needs, *(t.path for t in kind.targets if t.path.split("/")[0] not in kind.needs)}, work)


def honest(kind: Kind, stock: Path, work: Path) -> str:
    """What the command answers to the honest files, in this process, so that its children find all libraries loaded.

    Raises RuntimeError where it refuses them.
    """
    prepare(kind, stock, work)
    said = attempt_here(kind.command, work)
    if said.code not in ({0, 1} if kind.verdict else {0}):
        raise RuntimeError(f"{kind.name}: the honest file is refused: {said.code} {said.err.strip()} {said.where}")
    return answer(kind, said, work)


def answer(kind: Kind, said: Said, work: Path) -> str:
    """What a command printed, and the data that it wrote."""
    skipped = ("manifest.json", "log.csv", "run.json", "curve.svg", "last.pt", ".lock")
    files = {k: v for k, v in contents(work).items() if k.startswith(kind.writes) and not k.endswith(skipped)}
    return f"{said.code} {value_of(said)} {sorted(files.items())}" if kind.writes else f"{said.code} {value_of(said)}"


def mutate(path: Path, target: Target, rng: Rng) -> tuple[str, str]:
    """Change a file in place; returns the family and the name of what was done, equal bytes never."""
    data = path.read_bytes()
    family = str(rng.choice(FAMILIES, p=WEIGHTS))
    if family == "special":
        change = SPECIAL[rng.integers(len(SPECIAL))]
        change(path)
        return family, change.__name__
    for _ in range(20):
        if family == "damage":
            mutator = DAMAGE[rng.integers(len(DAMAGE))]
            name, made = mutator.__name__, mutator(data, rng)
        else:
            name, made = target.forge.__name__, target.forge(data, rng)
        if made != data:
            break
    path.write_bytes(made)
    return family, name


def judge(
    kind: Kind, number: int, seed: int, expected: str, stock: Path, work: Path, attempt: Callable[..., Said] = attempt
) -> Verdict:
    """Run one mutant of a kind; the same for the same seed and number."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.name.encode()), number])
    prepare(kind, stock, work)
    target = kind.targets[rng.integers(len(kind.targets))]
    family, name = mutate(work / target.path, target, rng)
    before = contents(work)
    said = attempt(kind.command, work)
    outcome, note = weigh(kind, target, family, said, expected, before, work)
    return Verdict(
        kind.name, number, f"{target.path}: {family}, {name}", outcome, note, round(said.cpu_s, 2), said.memory
    )


def weigh(
    kind: Kind, target: Target, family: str, said: Said, expected: str, before: dict, work: Path
) -> tuple[str, str]:
    """The word for a run, and for a bad one what was wrong."""
    if said.stopped:
        return said.stopped, f"{said.cpu_s:.0f} s of CPU, {said.memory >> 20} MB beyond the start"
    where = said.where or printed_place(said.err)
    if where or said.code < 0 or said.code not in (0, 1, BAD_INPUT) or (said.code == 1 and not kind.verdict):
        return TRACEBACK, where or f"exit code {said.code}: {said.err.strip()[-300:]!r}"
    after = contents(work)
    changed = sorted(
        name for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) and not (said.code == 0 and name.startswith(kind.writes or "\0"))
    )  # fmt: skip
    if changed:
        return FILES, ", ".join(changed)
    if said.code == BAD_INPUT:
        fault = unclear(said.err)
        return (TRACEBACK, f"{fault}: {said.err[:300]!r}") if fault else (REFUSED, "")
    if noise := [line for line in said.err.splitlines() if "Warning" in line or "Traceback" in line]:
        return TRACEBACK, f"noise: {noise[0][:200]}"
    if said.code == 1 and said.out:
        return REFUSED, ""
    if answer(kind, said, work) == expected:
        return SAME, ""
    noticed = target.notices == Notices.CONTENT or (target.notices == Notices.DAMAGE and family == "damage")
    return (SILENT, said.out[:200]) if noticed else (OTHER, "")


def unclear(err: str) -> str:
    """Why a refusal is not one clear line; "" if it is. Notices before it and the usage line of a parser may stand."""
    lines = [line for line in err.splitlines() if line.strip()]
    if not lines:
        return "no line"
    if "Traceback" in err:
        return "traceback in a refusal"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in err if c != "\n"):
        return "control characters"
    known = ("spikegpt: ", "run.py: ", "Usage: ", "usage: ", "Try ", "Error: ", " ")
    if strange := [line for line in lines if not line.startswith(known)]:
        return f"a line of somebody else ({strange[0][:80]!r})"
    if len(lines) > 4 or len(err) > 4000:
        return "too long"
    return ""
