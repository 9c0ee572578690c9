"""docs/reliability.md: what a campaign found, made of its journal alone."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.campaign.judge import BAD, FILES, HANG, MEMORY, OTHER, REFUSED, SAME, SILENT, TRACEBACK

TEXT = """# Reliability: mutated inputs and killed commands

Written by

    {command}

at {revision}, in {hours:.1f} hours of one process. Every number below is counted in that run; the command repeats it.

## Mutated inputs

Honest files of every kind that the toolchain reads are made by the toolchain, or as other tools write them. Each mutant
is one of them, changed, and given to the command that reads it, in a child process with limits. Half of the mutants are
*damage*: bits, bytes, blocks, numbers, truncation, bytes that are no text, anywhere. Most others are *forged*: valid
JSON, YAML, zip, HDF5, safetensors, xz or zstd with hostile values, types, names, nesting, links, shapes that lie,
pickled code, decompression bombs, and every checksum right. The rest are no files at all: a FIFO, a folder, links.

A mutant passes when the command gives the answer of the honest file; or refuses with one line without control
characters and exit code 2 (1 where the command's answer is "differs"); or when the mutant is *other content*: of a
format that holds no sum of it (a text, a price list, another tool's weights), or forged with the sums right. It fails
by a traceback or an unclear line; by more than {cpu} s of processor time or a minute of waiting; by more than 1 GB of
memory beyond the start; by a file lost, changed or left behind; or when changed bytes of a format that has sums, or of
a file of ours whose digest stands elsewhere, give another answer silently. Lava itself is replaced by the interpreter
of the same plan, which takes milliseconds.

{mutants}

## Killed commands

Each command is started over an older output of its own (train and simulate --resume: over nothing), beside a file of
the user's, and ended by SIGKILL, SIGTERM or SIGINT after a random share of its time; every tenth in a fresh
interpreter, the others forked from one that has its libraries loaded. Then the old or the new output must be there,
whole, the user's file untouched, the exit code that of the signal; and the same command again (train: with --resume
--force) must end well, with the bytes of an uninterrupted run, and leave nothing temporary.

{kills}
{failures}"""


def rows(records: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> list[list[str]]:
    """Counts of outcomes by kind, in the order of the kinds, and their sum."""
    counted: dict[str, Counter] = {}
    worst: dict[str, tuple[float, int]] = {}
    for r in records:
        counted.setdefault(r["kind"], Counter())[r["outcome"]] += 1
        cpu, memory = worst.get(r["kind"], (0.0, 0))
        worst[r["kind"]] = max(cpu, r.get("cpu_s", 0.0)), max(memory, r.get("memory", 0))
    total = sum(counted.values(), Counter())
    lines = [
        [kind, f"{c.total():,}", *(f"{c[o]:,}" for o in columns), f"{worst[kind][0]:.1f}", f"{worst[kind][1] >> 20:,}"]
        for kind, c in counted.items()
    ]
    most = [max((w[k] for w in worst.values()), default=0) for k in (0, 1)]
    return [
        *lines,
        [
            "**all**",
            f"{total.total():,}",
            *(f"**{total[o]:,}**" for o in columns),
            f"{most[0]:.1f}",
            f"{int(most[1]) >> 20:,}",
        ],
    ]


def markdown(head: list[str], body: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] + ["---:"] * (len(head) - 1), *body]]
    return "\n".join(lines)


def mutants_table(records: Iterable[dict[str, Any]]) -> str:
    columns = (SAME, REFUSED, OTHER, TRACEBACK, HANG, MEMORY, FILES, SILENT)
    head = ["reader", "mutants", "same answer", "refused", "other content", "traceback", "hang", "memory",
            "file lost or half", "accepted silently", "most CPU, s", "most memory, MB"]  # fmt: skip
    return markdown(head, rows(records, columns))


def kills_table(records: Iterable[dict[str, Any]]) -> str:
    columns = (SAME, TRACEBACK, HANG, FILES)
    body = [row[:-2] for row in rows(records, columns)]
    return markdown(
        ["command", "kills", "all in order", "traceback or exit code", "hang", "file lost, half or left"], body
    )


def failures(records: Iterable[dict[str, Any]]) -> list[str]:
    """One line for every place of failure: how often, and one mutant that shows it."""
    grouped: dict[tuple[str, str, str], list[dict]] = {}
    for r in records:
        if r["outcome"] in BAD:
            place = r["note"].split(":")[0:2] if " @ " in r["note"] else [r["note"][:80]]
            grouped.setdefault((r["outcome"], r["kind"], ":".join(place)), []).append(r)
    ordered = sorted(grouped.items(), key=lambda item: -len(item[1]))
    return [
        f"- {kind}: {outcome}, {len(found)} times; e.g. number {found[0]['number']} ({found[0]['mutator']}): "
        f"{found[0]['note'][:300]}"
        for (outcome, kind, _), found in ordered
    ]


def write(
    path: Path, journal: list[dict[str, Any]], command: str, revision: str, seconds: float, cpu: int
) -> list[str]:
    """Write the page; returns its list of failures."""
    mutants, kills = ([r for r in journal if r["what"] == what] for what in ("mutant", "kill"))
    bad = failures(journal)
    listed = "\n## Failures\n\n" + "\n".join(bad) + "\n" if bad else ""
    path.write_text(TEXT.format(command=command, revision=revision, hours=seconds / 3600, cpu=cpu,
                                mutants=mutants_table(mutants), kills=kills_table(kills), failures=listed))  # fmt: skip
    return bad
