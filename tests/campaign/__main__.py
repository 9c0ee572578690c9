"""Run a campaign: python -m tests.campaign --mutants 10000 --kills 100 --seed 1 --resume FILE."""

import argparse
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

# One thread: children are forked. GNU OpenMP does not survive that; and others work on this machine too.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1") | {
    "NUMBA_THREADING_LAYER": "workqueue", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip

from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from tests.campaign import table
from tests.campaign.journal import Journal
from tests.campaign.judge import honest
from tests.campaign.kills import JOBS, kill, reference
from tests.campaign.kinds import KINDS, Kind
from tests.campaign.trial import CPU_S, ROOT
from tests.campaign.worker import verdicts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--mutants", type=int, default=10_000, help="over all kinds of file")
    parser.add_argument("--kills", type=int, default=100, help="over all commands that write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", type=Path, help="journal; a campaign that was cut off goes on from it")
    parser.add_argument("--page", type=Path, help="where to write the table, e.g. docs/reliability.md")
    parser.add_argument("--only", action="append", metavar="NAME", help="of a kind or a command; repeatable")
    options = parser.parse_args()
    os.nice(5)

    def wanted(name: str) -> bool:
        return options.only is None or name in options.only

    journal = Journal(options.resume, options.seed)
    folder = Path(
        tempfile.mkdtemp(prefix="campaign-")
    )  # children run the exit functions, among them a temporary folder's
    try:
        # By another process: what draws the pictures of a report keeps threads, which forked children would wait for.
        code = "import sys; from pathlib import Path; from tests.campaign.material import make; make(Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, folder / "stock"], check=True, cwd=ROOT)
        chosen, expected = ready([kind for kind in KINDS if options.mutants and wanted(kind.name)], folder)
        with Progress(
            *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(), auto_refresh=False
        ) as bar:
            mutants(chosen, expected, journal, options, folder, bar)
            killed([job for job in JOBS if wanted(job.name)], journal, options, folder, bar)
    finally:
        shutil.rmtree(folder)
    seconds = sum(r["wall_s"] for r in journal.records)
    print(table.mutants_table(journal.of("mutant")), table.kills_table(journal.of("kill")), sep="\n\n")
    bad = table.failures(journal.records)
    if options.page:
        command = f"python -m tests.campaign --mutants {options.mutants} --kills {options.kills} --seed {options.seed}"
        table.write(options.page, journal.records, command, revision(), seconds, CPU_S)
    print("\n".join(bad), file=sys.stderr)
    return int(bool(bad))


def revision() -> str:
    """The commit that was tested."""
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return f"revision {found.stdout.strip() or 'unknown'}"


def ready(chosen: list[Kind], folder: Path) -> tuple[list[Kind], dict[str, str]]:
    """The answers to the honest files, each twice the same; libraries are loaded on the way.

    A kind whose honest file is refused is left out, and said.
    """
    stock, work = folder / "stock", folder / "work"
    expected = {}
    for kind in chosen:
        try:
            expected[kind.name] = honest(kind, stock, work)
        except RuntimeError as error:
            print(error, file=sys.stderr, flush=True)
            continue
        assert honest(kind, stock, work) == expected[kind.name], f"{kind.name}: two runs differ"
    gc.collect()
    gc.freeze()  # children do not copy what they do not touch
    return [kind for kind in chosen if kind.name in expected], expected


def mutants(
    chosen: list[Kind],
    expected: dict[str, str],
    journal: Journal,
    options: argparse.Namespace,
    folder: Path,
    bar: Progress,
) -> None:
    """Run what the journal lacks, the kinds in turn, so that a campaign cut off early has seen all of them."""
    done = {(r["kind"], r["number"]) for r in journal.of("mutant")}
    places = (divmod(k, len(chosen)) for k in range(options.mutants if chosen else 0))
    wanted = [(chosen[place], number) for number, place in places if (chosen[place].name, number) not in done]
    task = bar.add_task("mutants", total=options.mutants, completed=len(done))
    for verdict, wall_s in verdicts(wanted, options.seed, expected, folder):
        journal.add({"what": "mutant", **asdict(verdict), "wall_s": wall_s})
        bar.advance(task)
        bar.refresh()


def killed(jobs: list, journal: Journal, options: argparse.Namespace, folder: Path, bar: Progress) -> None:
    """Likewise for commands that are ended."""
    done = {(r["kind"], r["number"]) for r in journal.of("kill")}
    wanted = [(jobs[k % len(jobs)], k // len(jobs)) for k in range(options.kills if jobs else 0)]
    task = bar.add_task("kills", total=options.kills, completed=len(done))
    known = {}
    for job, number in wanted:
        if (job.name, number) in done:
            continue
        if job.name not in known:
            known[job.name] = reference(job, folder / "stock", folder / "work")
        started = time.monotonic()
        how, outcome, note = kill(known[job.name], number, options.seed, folder / "work")
        record = {"what": "kill", "kind": job.name, "number": number, "mutator": how, "outcome": outcome, "note": note}
        journal.add({**record, "wall_s": time.monotonic() - started})
        bar.advance(task)
        bar.refresh()


if __name__ == "__main__":
    sys.exit(main())
