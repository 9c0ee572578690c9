"""What NIR leaves open: how long a step is, and how a differential equation becomes one. Named, and said in the output.

Everywhere a neuron fires above its threshold, strictly, once a step, and is set to v_reset; a current moves before the
membrane that it drives; recurrence reads the spikes of the step before.
"""

from dataclasses import dataclass, replace

import nir
import numpy as np

from hw_sim.graph.check import STEP, TIME_CONSTANTS
from hw_sim.graph.extensions import DT
from spikegpt.errors import UserError

EULER, EXACT = "euler", "exact"
NAMES = (EULER, EXACT)  # forward Euler, x += (target - x) dt / tau; exponential, with 1 - e^(-dt / tau) in its place
LONGEST = 1 << 16  # steps of a Delay


@dataclass(frozen=True)
class Step:
    """A time step of `dt` seconds by the convention named; `why` says who says so."""

    dt: float
    convention: str
    why: str

    @property
    def words(self) -> str:
        return f"a step of {self.dt:g} s, {self.convention} ({self.why})"


def told(graph: nir.NIRGraph, dt: float | None = None, convention: str | None = None) -> Step:
    """The step of a file: as given, else as its writer is taken to have meant. Raises UserError for what is no step."""
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise UserError(f"dt = {dt}: a time step must be positive")
    if convention is not None and convention not in NAMES:
        raise UserError(f"convention {convention!r} is not one of {', '.join(NAMES)}")
    written = _as_written(graph)
    if dt is None and convention is None:
        return written
    why = "as asked for" if dt is not None else f"step: {written.why}"
    return Step(written.dt if dt is None else dt, convention or EULER, why)


def _as_written(graph: nir.NIRGraph) -> Step:
    """snnTorch and SpikingJelly write for steps of 1e-4 s; norse 1.1 stores one number for all neurons and multiplies
    time constants by its dt of 1e-3; Sinabs counts time in steps."""
    constants = [np.asarray(v) for node in graph.nodes.values() for f in TIME_CONSTANTS
                 if (v := getattr(node, f, None)) is not None]  # fmt: skip
    gains = [np.asarray(n.r) for n in graph.nodes.values() if isinstance(n, nir.IF | nir.I)]
    if constants and all(c.ndim == 0 for c in constants):
        return Step(1e-6, EULER, "one number for all neurons, as norse writes")
    if constants and all(c.size and c.min() >= 1 for c in constants):
        return Step(1.0, EXACT, "time constants in steps, as Sinabs writes")
    if not constants and gains and all(np.all(g == 1) for g in gains):
        return Step(1.0, EULER, "IF neurons of r = 1, as Sinabs writes")
    return Step(DT, EULER, "the default")


def in_steps(graph: nir.NIRGraph, step: Step) -> nir.NIRGraph:
    """The graph for Euler steps of DT, with the same values at every step. Raises UserError where `step` is longer than
    a time constant of Euler's, or a Delay is no whole number of them."""
    return nir.NIRGraph(
        {name: _in_steps(name, node, step) for name, node in graph.nodes.items()},
        graph.edges, metadata=graph.metadata, type_check=False,
    )  # fmt: skip


def _in_steps(name: str, node: nir.NIRNode, step: Step) -> nir.NIRNode:
    if isinstance(node, nir.Delay):
        steps = node.delay / step.dt
        if np.any(np.abs(steps - np.rint(steps)) > STEP * np.maximum(steps, 1)) or steps.min() < 0.5:
            least, most = float(np.min(node.delay)), float(np.max(node.delay))
            span = f"{least:g} s" if least == most else f"{least:g} to {most:g} s"
            raise UserError(f"node {name!r}: a delay of {span} is no whole number of steps, here --dt {step.dt:g} s")
        if steps.max() > LONGEST:
            raise UserError(f"node {name!r}: a delay of {int(steps.max()):,} steps; up to {LONGEST:,} can be run")
        return nir.Delay(np.rint(steps) * DT)
    if isinstance(node, nir.IF | nir.I):
        return replace(node, r=node.r * (step.dt / DT))
    constants = {f: _constant(name, getattr(node, f), step) for f in TIME_CONSTANTS if hasattr(node, f)}
    return replace(node, **constants) if constants else node


def _constant(name: str, tau: np.ndarray, step: Step) -> np.ndarray:
    """The time constant with which an Euler step of DT does what `step` does."""
    if np.any(tau <= 0):
        raise UserError(f"node {name!r}: tau must be positive, got {float(np.min(tau))}")
    if step.convention == EXACT:
        return DT / -np.expm1(-step.dt / tau.astype(np.float64))
    if np.min(tau) < step.dt * (1 - STEP):
        raise UserError(
            f"node {name!r}: a step of {step.dt:g} s is longer than its time constant of {float(np.min(tau)):g} s: "
            f"the membrane would overshoot; name the --dt that the tool used, or --convention {EXACT}"
        )
    return tau * (DT / step.dt)
