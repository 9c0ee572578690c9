"""Whether all executions of an exported integer plan give the same spikes and logits, bit for bit."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from exporters import nir as exporter
from exporters.loihi.bundle import INT8_GRAPH, WEIGHTS
from exporters.loihi.lava import standard, supervisor
from hw_sim import Simulator
from hw_sim.counts.compare import compare
from hw_sim.counts.counts import Result
from hw_sim.graph.to_plan import build
from hw_sim.plan import Plan
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.interpreter import Interpreter
from spikegpt.errors import UserError

INTERPRETED = 16  # tokens: the specification is slow
Progress = Callable[[int], None]
Spikes = dict[str, np.ndarray]


class NotRun(Exception):
    """An execution that this network cannot have; its text says why. It is no disagreement."""


@dataclass(frozen=True)
class Execution:
    """A name and a function (plan, tokens (T,), Lava's interpreter, progress) -> logits (T, V), spikes (T, n) by name.

    It runs the first `tokens` of the text, or all of it.
    """

    name: str
    run: Callable[[Plan, np.ndarray, str | None, Progress], tuple[np.ndarray, Spikes]]
    tokens: int | None = None


def interpret(plan: Plan, tokens: np.ndarray, python: str | None, progress: Progress) -> tuple[np.ndarray, Spikes]:
    """The numpy specification of every operation."""
    interpreter, logits, raster = Interpreter(plan), [], []
    for token in tokens:
        logits.append(interpreter.step(int(token)))
        raster.append(interpreter.spikes.copy())
        progress(1)
    return (np.array(logits) / fp.ONE).astype(np.float32), plan.trains(np.array(raster))


def lava_blocks(plan: Plan, tokens: np.ndarray, python: str | None, progress: Progress) -> tuple[np.ndarray, Spikes]:
    """Our own Lava process models, one a block."""
    run = supervisor.run(plan, tokens, python=python, progress=progress)
    return run.logits, run.spikes


def lava_standard(plan: Plan, tokens: np.ndarray, python: str | None, progress: Progress) -> tuple[np.ndarray, Spikes]:
    """Lava's own processes wherever they exist, one an operator. Raises NotRun for a network too large for that."""
    try:
        processes = len(standard.schedule(plan).nodes)
    except UserError as error:
        raise NotRun(str(error)) from error
    if processes > standard.MAX_PROCESSES:
        raise NotRun(f"it would need {processes:,} Lava processes, more than {standard.MAX_PROCESSES}")
    run = standard.run(plan, tokens, python=python)
    progress(len(tokens))
    return run.logits, run.spikes


REFERENCE = "event simulator"
EXECUTIONS = (
    Execution("numpy interpreter", interpret, INTERPRETED),
    Execution("Lava, one process a block", lava_blocks),
    Execution("Lava, standard processes", lava_standard),
)


@dataclass(frozen=True)
class Agreement:
    """How an execution compares with the event simulator on so many tokens; `not_run` says why it does not."""

    execution: str
    tokens: int = 0
    spike_positions: int = 0
    spike_mismatches: int = 0
    max_logit_difference: float = 0.0
    mismatches_by_population: dict[str, int] | None = None
    time_s: float = 0.0
    not_run: str = ""

    @property
    def agrees(self) -> bool:
        return self.spike_mismatches == 0 and self.max_logit_difference == 0


def read_plan(folder: Path) -> Plan:
    """The integer plan of an export. Raises UserError unless the int8 graph beside it gives the same plan."""
    plan = Plan.load(folder / WEIGHTS)
    rebuilt = build(exporter.read(folder / INT8_GRAPH))
    for field in fields(Plan):
        if not np.array_equal(getattr(plan, field.name), getattr(rebuilt, field.name)):
            raise UserError(
                f"{folder / WEIGHTS} is not the plan of {INT8_GRAPH}: its {field.name} differ; export again"
            )
    return plan


def reference(plan: Plan, tokens: np.ndarray, progress: Progress) -> Result:
    """The event simulator's run, with all spikes."""
    return Simulator(plan).run(tokens, record=True, progress=progress)


def agreement(
    execution: Execution, plan: Plan, tokens: np.ndarray, expected: Result, python: str | None, progress: Progress
) -> Agreement:
    """Run one execution on tokens (T,) and compare it with what the event simulator gave for them.

    Raises UserError when the execution fails.
    """
    part, started = tokens[: execution.tokens], time.perf_counter()
    try:
        logits, spikes = execution.run(plan, part, python, progress)
    except NotRun as reason:
        return Agreement(execution.name, not_run=str(reason))
    n = len(part)
    found = compare(expected.logits[:n], {k: train[:n] for k, train in expected.spikes.items()}, logits, spikes)
    return Agreement(
        execution.name,
        n,
        found["spike_positions"],
        found["spike_mismatches"],
        found["max_logit_difference"],
        found["mismatches_by_population"],
        time.perf_counter() - started,
    )


def verdict(rows: list[Agreement]) -> str:
    """One line: which executions disagree, else how many agree and which could not run."""
    wrong = [row.execution for row in rows if not row.agrees]
    if wrong:
        return f"DISAGREE: {', '.join(wrong)} differ from the {REFERENCE}"
    ran = [row for row in rows if not row.not_run]
    missing = [row.execution for row in rows if row.not_run]
    line = f"agree: {1 + len(ran)} executions give the same spikes and logits, bit for bit"
    return f"{line}; not run: {', '.join(missing)}" if missing else line
