"""Commands ended at a random moment: what stands afterwards, and whether the next run makes it good."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from exporters.loihi.lava.supervisor import patience
from tests.campaign.judge import FILES, HANG, SAME, TRACEBACK, contents, copy
from tests.campaign.trial import ROOT, WALL_S, Said, attempt, attempt_here, fork, printed_place, texts_of

STUCK = -1000  # in place of an exit code
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FRESH = 10  # every so many kills hit a new interpreter, while it imports too
# What holds times or speeds, which no two runs share.
EVENTS = "events.out.tfevents."  # TensorBoard reads them while they grow
UNSTABLE = ("log.csv", "run.json", "curve.svg", "report.json", "report.md", "report.html", "last.pt")


@dataclass(frozen=True)
class Job:
    """A command that writes `out`; `older` made what stands there before, `again` is the next run. Where it does not
    fork, it keeps threads (those that draw the pictures of a report), which a forked child would wait for."""

    name: str
    command: tuple[str, ...]
    out: str
    older: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    needs: tuple[str, ...] = ("own.pt", "flat.pth", "text.txt", "own.nir")
    forks: bool = True


def job(name: str, command: str, out: str, older: str = "", again: str = "") -> Job:
    """A Job from words apart by spaces; TEXT stands for the text."""
    texts = (text.replace("TEXT", "--data text.txt").split() for text in (command, older, again))
    command_line, before, after = (tuple(words) for words in texts)
    return Job(name, command_line, out, before, after)


TRAIN = "train TEXT --layers 1 --width 8 --ctx 16 --batch 2 --steps 100 --device cpu --seed 1 --out made"
JOBS = (
    job("train", TRAIN, "made", again=f"{TRAIN} --resume --force"),
    job("tokenize", "tokenize text.txt --out made", "made", "tokenize text.txt --tokenizer characters --out made"),
    *(
        job(
            f"export --target {target}",
            f"export own.pt --target {target} --out made",
            "made",
            f"export flat.pth --target {target} --out made",
        )
        for target in ("nir", "onnx", "loihi")
    ),
    job(
        "simulate --resume",
        "simulate own.nir TEXT --tokens 2000 --streams 40 --resume made --json",
        "made",
    ),
    *(
        job(
            f"simulate {option}",
            f"simulate own.nir TEXT --tokens 2000 {option} made.npz",
            "made.npz",
            f"simulate flat.pth TEXT --tokens 30 {option} made.npz",
        )
        for option in ("--trace", "--save-state")
    ),
    replace(
        job(
            "energy-report",
            "energy-report own.pt TEXT --tokens 400 --out made",
            "made",
            "energy-report flat.pth TEXT --tokens 30 --out made",
        ),
        forks=False,
    ),
)


@dataclass(frozen=True)
class Reference:
    """What honest runs leave: before, after, and how long the command takes in a forked and in a fresh interpreter."""

    job: Job
    before: dict[str, str]
    after: dict[str, str]
    forked_s: float
    fresh_s: float


def reference(job: Job, stock: Path, work: Path) -> Reference:
    """Run a job and its forerunner to the end; the folder that its kills start from stays beside `work`."""
    copy(stock, set(job.needs), work)
    (work / "notes.txt").write_text("the user's own\n")
    if job.older:
        done(job, (attempt_here if job.forks else attempt_fresh)(job.older, work))
    begin = begin_of(job, work)
    shutil.rmtree(begin, ignore_errors=True)
    shutil.copytree(work, begin)
    done(job, (attempt_here if job.forks else attempt_fresh)(job.command, work))  # children then find it loaded
    after = contents(work)
    forked_s = 0.0
    if job.forks:
        again(begin, work)
        started = time.monotonic()
        done(job, attempt(job.command, work))
        forked_s = time.monotonic() - started
    again(begin, work)
    started = time.monotonic()
    code = fresh(job.command, work).wait()
    assert code == 0, (job.name, code)
    return Reference(job, contents(begin), after, forked_s, time.monotonic() - started)


def done(job: Job, said: Said) -> None:
    assert said.code == 0, f"{job.name}: {said}"


def again(begin: Path, work: Path) -> None:
    """The folder as it was before."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(begin, work)


def begin_of(job: Job, work: Path) -> Path:
    return work.with_name("before " + job.name)


def fresh(command: Sequence[str], folder: Path, err: int = subprocess.DEVNULL) -> subprocess.Popen:
    """The command in an interpreter of its own, as a shell starts it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary(folder))}
    call = [sys.executable, "-c", "from cli.main import main; main()", *command]
    return subprocess.Popen(call, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=err, process_group=0)


def attempt_fresh(command: Sequence[str], folder: Path) -> Said:
    """Run the command to its end in an interpreter of its own."""
    err = os.memfd_create("err")
    code = fresh(command, folder, err).wait()
    return Said(code, "", texts_of((err,))[0], "", 0, 0.0)


def temporary(folder: Path) -> Path:
    """The folder for temporary files of commands that run in `folder`, beside it."""
    place = folder.parent / "tmp"
    place.mkdir(exist_ok=True)
    return place


def kill(found: Reference, number: int, seed: int, work: Path) -> tuple[str, str, str]:
    """End one run at a random moment and run it again; how it was ended, the outcome, and what was wrong."""
    job = found.job
    rng = np.random.default_rng([seed, zlib.crc32(job.name.encode()), number])
    number_of_signal = SIGNALS[rng.integers(len(SIGNALS))]
    new = number % FRESH == 0 or not job.forks
    moment = float(rng.uniform(0, found.fresh_s if new else found.forked_s))
    how = f"{number_of_signal.name} after {moment:.2f} s" + (" of a fresh interpreter" if new else "")
    again(begin_of(job, work), work)
    shutil.rmtree(work.parent / "tmp", ignore_errors=True)
    code, err = end(job.command, work, number_of_signal, moment, new)
    for look in (
        lambda: ended_well(code, err, number_of_signal),
        lambda: stands(found, contents(work), work),
        lambda: next_run(found, work),
    ):
        if problem := look():
            return how, *problem
    return how, SAME, ""


def end(command: Sequence[str], work: Path, number: int, moment: float, new: bool) -> tuple[int, str]:
    """Start a command, send it a signal after `moment` seconds; exit code (negative: the signal) and errors."""
    out, err = os.memfd_create("out"), os.memfd_create("err")
    child = fresh(command, work, err).pid if new else fork(command, work, out, err, err, temporary(work))
    time.sleep(moment)
    status, limit = None, time.monotonic() + WALL_S * patience()
    sent = False
    while status is None and time.monotonic() < limit:
        ended, state = os.waitpid(child, os.WNOHANG)
        if ended:
            status = state
        elif not sent:
            os.kill(child, number)
            sent = True
        else:
            time.sleep(0.005)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    _, text = texts_of((out, err))
    return STUCK if status is None else os.waitstatus_to_exitcode(status), text


def ended_well(code: int, err: str, number: int) -> tuple[str, str] | None:
    """Whether exit code and errors are those that a shell expects of this signal, or of a run that was done before."""
    if code == STUCK:
        return HANG, "it went on after the signal"
    if place := printed_place(err):
        return TRACEBACK, f"exit code {code}: {place}"
    if code not in (0, -number, 128 + number) and not (number == signal.SIGKILL and code == 137):
        return TRACEBACK, f"exit code {code}: {err[-300:]!r}"
    if "Traceback" in err or (err and " @ " in err and number != signal.SIGKILL):
        return TRACEBACK, f"exit code {code}: {err[-300:]!r}"
    if code > 128 and not err.rpartition("spikegpt: ")[2].endswith("\n"):  # what a progress bar wrote may stand before
        return TRACEBACK, f"no line that says so: {err[:200]!r}"
    return None


def of(job: Job, files: dict[str, str]) -> dict[str, str]:
    """What stands under the job's name."""
    return {k: v for k, v in files.items() if k == job.out or k.startswith(job.out + "/")}


def comparable(files: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in files.items() if not unstable(k) and v != "folder"}


def unstable(name: str) -> bool:
    """Whether two honest runs may leave this file with other bytes, or under another name."""
    return name.endswith(UNSTABLE) or EVENTS in name


def stands(found: Reference, now: dict[str, str], work: Path) -> tuple[str, str] | None:
    """After the kill: every other file as it was, and the output the old one or the new one, whole."""
    job = found.job
    for name, digest in found.before.items():
        if name not in of(job, found.before) and now.get(name) != digest:
            return FILES, f"{name} is lost or changed"
    ours, old, new = (comparable(of(job, files)) for files in (now, found.before, found.after))
    if job.name in ("train", "simulate --resume", "energy-report"):  # file by file, each whole
        if job.name == "energy-report":
            return half_report(work / job.out)
        wrong = [k for k, v in ours.items() if not Path(k).name.startswith(".") and v not in (old.get(k), new.get(k))]
        return (FILES, f"{wrong[0]} is neither the old one nor the new one") if wrong else None
    if ours not in (old, new):
        missing = sorted(old.keys() - ours.keys())[:3]
        return FILES, f"the output is neither the old nor the new one; missing: {missing}"
    return None


def half_report(folder: Path) -> tuple[str, str] | None:
    """A report's three forms, each whole and of the same run."""
    import json

    try:
        command = json.loads((folder / "report.json").read_text())["provenance"]["command"]
        texts = [(folder / f"report.{form}").read_text() for form in ("md", "html")]
    except (OSError, ValueError, KeyError) as error:
        return FILES, f"the report is not whole: {error}"
    import html

    if not all(command in text or html.escape(command) in text for text in texts):
        return FILES, "the report's forms are of two runs"
    return None


def next_run(found: Reference, work: Path) -> tuple[str, str] | None:
    """The same command again: it works, gives the uninterrupted result, and leaves nothing temporary."""
    job = found.job
    said = (attempt if job.forks else attempt_fresh)(job.again or job.command, work)
    if said.code != 0 or said.where or said.stopped:
        return said.stopped or TRACEBACK, f"the next run: exit code {said.code} {said.where} {said.err[:200]!r}"
    now = contents(work)
    if comparable(now) != comparable(found.after):
        wrong = sorted(
            k for k in now.keys() | found.after.keys() if now.get(k) != found.after.get(k) and not unstable(k)
        )
        return FILES, f"after the next run: {', '.join(wrong[:4])}"
    left = [k for k in now if k not in found.after and not unstable(k)]
    left += [str(p) for p in (work.parent / "tmp").rglob("*")]
    return (FILES, f"left behind: {', '.join(left[:4])}") if left else None
