"""What a spiking network of any tool costs a step, beside the network of its shape that multiplies.

Counts of the network are counted on its inputs. Its twin has the same weights, reads real numbers and a ReLU where
neurons fire: run at every step as the network is, or once on a sample, as networks of frames are. Joules are modelled.
"""

from collections.abc import Sequence
from dataclasses import replace

import nir
import numpy as np
from msgspec import Struct

from hw_sim.counts.counts import Counts
from hw_sim.counts.layers import BINARY, ZERO, verdict
from hw_sim.energy.measure import counted
from hw_sim.energy.price import costs
from hw_sim.energy.settings import Settings
from hw_sim.energy.vectors import Operation, vector_work
from hw_sim.energy.work import MAC, Work
from hw_sim.graph.foreign import drive, input_fed
from hw_sim.plan import Op, Plan
from hw_sim.run.simulator import Simulator

SCHEMA = "spikegpt-network-report-1"
NETWORK, TWIN, ONCE = "network", "twin, every step", "twin, once a sample"
Energy = tuple[float, float, float]  # joules a step: at the column's prices, lowest and highest of the alternatives


class NetworkRow(Struct, frozen=True, kw_only=True):
    """One row, all a step: operations of matrices by kind, element-wise ones, neuron updates, spikes, joules."""

    name: str
    counts: str  # "counted" or "assumed"
    accumulates: float
    graded: float
    macs: float
    elementwise: float
    updates: float
    spikes: float
    energy_j: dict[str, Energy]

    @property
    def operations(self) -> float:
        return self.accumulates + self.graded + self.macs


class NetworkReport(Struct, frozen=True, kw_only=True):
    """Rows of a network and its twins, and how many times the network's energy a twin takes, by column."""

    schema: str = SCHEMA
    network: str
    recording: str
    inputs_sha256: str
    steps: int
    time_step: str
    rows: tuple[NetworkRow, ...]
    ratios: dict[str, dict[str, Energy]]
    notes: tuple[str, ...] = ()

    def row(self, name: str) -> NetworkRow:
        return next(row for row in self.rows if row.name == name)


def network_report(graph: nir.NIRGraph, inputs: np.ndarray, settings: Settings, *, spike_input: bool = False,
                   **told: str) -> NetworkReport:  # fmt: skip
    """Run a network as `foreign.read_foreign` gives it on inputs (T, n), and price it beside its twins.

    `spike_input` says that inputs are events; else their values tell. `told` are the report's texts. Raises UserError
    where the inputs do not fit, or are said to be spikes and are none.
    """
    look = verdict(inputs)
    events = spike_input or look in (BINARY, ZERO)
    simulator = Simulator.from_nir(drive(graph, inputs, events))
    result = simulator.run(np.arange(len(inputs)))
    own = _own(simulator.plan, result)
    dense = twin(simulator.plan, len(inputs))
    ours, theirs = _priced(own, settings), _priced(dense, settings)
    rows = [_row(NETWORK, "counted", own, ours), _row(TWIN, "assumed", dense, theirs)]
    rows.append(_shared(rows[1], len(inputs)))
    every = {c: _extent({a: theirs[c][a] / j for a, j in by.items() if j and a in theirs[c]}) for c, by in ours.items()
             if by[""] and c in theirs}  # fmt: skip
    once = {c: (a / len(inputs), b / len(inputs), d / len(inputs)) for c, (a, b, d) in every.items()}
    notes = ["a twin's quality is not known: whether it does the same is for who trains it to say"]
    if events and not spike_input and (fed := input_fed(graph)):
        notes.append(f"{', '.join(sorted(fed))}: the inputs are 0 and 1, so they count as spikes")
    return NetworkReport(
        steps=len(inputs), rows=tuple(rows), ratios={TWIN: every, ONCE: once}, notes=tuple(notes), **told
    )


def _own(plan: Plan, counts: Counts) -> Work:
    """The network's counts, without the table of inputs that `drive` built in."""
    work = counted(NETWORK, plan, counts)
    return replace(work, tensors=tuple(t for t in work.tensors if t.role != "embedding"))


def twin(plan: Plan, steps: int) -> Work:
    """The same shape in real numbers: every weight at every step, a ReLU where a neuron fires, no neuron's state."""
    operations, matrices = [], []
    work = counted(TWIN, plan, Simulator(plan).run(np.arange(1)))
    for m in work.matrices:
        matrices.append(replace(m, kind=MAC, effective=m.dense * steps, dense=m.dense * steps))
    for i in range(len(plan.table)):
        row, operation = plan.row(i), plan.operation(i)
        if row.op in (Op.OUTPUT, Op.EMBED, Op.LI):
            continue
        kind: Op | str = "relu" if operation.fires else operation.op
        read = row.n_in * steps if operation.matrix else 0
        operations.append(Operation(kind, row.n_out, row.n_in, read, marked=row.shift > 0))
    found = vector_work(operations, steps)
    return Work(TWIN, steps, tuple(matrices), found.components, found.channels, found.tensors, counted=False)


def _priced(work: Work, settings: Settings) -> dict[str, dict[str, float]]:
    """Joules a step by column and alternative of its prices."""
    return {column: {a: e.total_j for a, e in found.items()} for column, found in costs(work, settings).items()}


def _extent(values: dict[str, float]) -> Energy:
    """The value at a column's own prices, and the lowest and the highest of its alternatives."""
    return values[""], min(values.values()), max(values.values())


def _row(name: str, counts: str, work: Work, priced: dict[str, dict[str, float]]) -> NetworkRow:
    n = work.tokens
    return NetworkRow(
        name=name, counts=counts, accumulates=work.acs / n, graded=work.graded / n, macs=work.macs / n,
        elementwise=sum(work.elementwise.values()) / n, updates=work.neurons / n, spikes=work.spikes / n,
        energy_j={column: _extent(found) for column, found in priced.items()},
    )  # fmt: skip


def _shared(row: NetworkRow, steps: int) -> NetworkRow:
    """What one pass costs each of so many steps."""
    names = ("accumulates", "graded", "macs", "elementwise", "updates", "spikes")
    each = {name: getattr(row, name) / steps for name in names}
    energy = {column: (a / steps, b / steps, c / steps) for column, (a, b, c) in row.energy_j.items()}
    return NetworkRow(name=ONCE, counts=row.counts, energy_j=energy, **each)


def markdown(report: NetworkReport) -> str:
    """The report as Markdown: operations, then joules and ratios by column."""
    from spikegpt.escape import markdown as shown

    title = f"# {shown(report.network)} on {shown(report.recording)}"
    head = f"{title}\n\n{report.steps:,} steps; {shown(report.time_step)}.\n"
    columns = sorted({c for row in report.rows for c in row.energy_j})
    kinds = ("accumulates", "graded", "macs", "elementwise", "updates", "spikes")
    operations = _table(
        ["a step", "counts", "accumulates", "graded", "MACs", "element-wise", "neuron updates", "spikes"],
        [[r.name, r.counts, *(f"{getattr(r, kind):,.1f}" for kind in kinds)] for r in report.rows],
    )
    energy = _table(
        ["µJ a step (modelled)", *(r.name for r in report.rows), *(f"{name} over network" for name in report.ratios)],
        [
            [c, *(_microjoules(r, c) for r in report.rows), *(_times(of, c) for of in report.ratios.values())]
            for c in columns
        ],
    )
    return "\n".join([head, operations, "", energy, "", *(f"- {shown(note)}" for note in report.notes)]) + "\n"


def _microjoules(row: NetworkRow, column: str) -> str:
    return f"{row.energy_j[column][0] * 1e6:,.4g}" if column in row.energy_j else "-"


def _times(ratios: dict[str, Energy], column: str) -> str:
    if column not in ratios:
        return "-"
    found, low, high = ratios[column]
    return f"{found:.3g} ({low:.2g} to {high:.2g})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
