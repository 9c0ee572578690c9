"""What a spiking network of any tool costs a step, beside the network of its shape that multiplies.

Counts of the network are counted on its inputs. Its twin has the same weights, reads real numbers and a ReLU where
neurons fire: run at every step as the network is, or once on a sample, as networks of frames are. Joules are modelled.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
import nir
import numpy as np
from msgspec import Struct

from hw_sim.energy.activity import activity
from hw_sim.energy.chips import STEP, ChipColumn, RowCounts, chip_column
from hw_sim.energy.measure import OBSERVED_TOKENS, counted
from hw_sim.energy.price import Energy, costs
from hw_sim.energy.schema import Activity, Column
from hw_sim.energy.settings import Settings
from hw_sim.energy.vectors import Task, vector_work
from hw_sim.energy.work import AC, GRADED, MAC, Work
from hw_sim.graph.foreign import drive
from hw_sim.plan import Op, Plan
from hw_sim.run.simulator import Simulator

SCHEMA = "spikegpt-network-report-2"
NETWORK, INT8, TWIN, ONCE = "network", "network, int8", "twin, every step", "twin, once a sample"
KINDS = {AC: "accumulates", GRADED: "graded", MAC: "MACs"}
Span = tuple[float, float, float]  # at the column's prices, lowest and highest of their alternatives
Costs = dict[str, dict[str, Energy]]


class NetworkRow(Struct, frozen=True, kw_only=True):
    """One row, all a step: operations of matrices by kind, element-wise ones, neuron updates, spikes, joules and their
    terms by column, and what meets no price there."""

    name: str
    counts: str  # "counted" or "assumed"
    dense: float
    accumulates: float
    graded: float
    macs: float
    elementwise: float
    updates: float
    spikes: float
    energy_j: dict[str, Span]
    energy_terms_j: dict[str, dict[str, float]]
    unpriced: dict[str, dict[str, float]]

    @property
    def operations(self) -> float:
        return self.accumulates + self.graded + self.macs


class NetworkMatrix(Struct, frozen=True, kw_only=True):
    """A node with weights: its operations a step, `done` of `dense`, and of which kind they are (KINDS)."""

    name: str
    kind: str
    weights: int
    done: float
    dense: float


class NetworkReport(Struct, frozen=True, kw_only=True):
    """Rows of a network and its twins, how many times the network's energy a twin takes by column, and what the
    network did: by matrix, by population, on a chip."""

    unit: ClassVar[str] = "step"
    schema: str = SCHEMA
    network: str
    recording: str
    inputs_sha256: str
    steps: int
    time_step: str
    columns: tuple[Column, ...]
    rows: tuple[NetworkRow, ...]
    ratios: dict[str, dict[str, Span]]
    matrices: tuple[NetworkMatrix, ...]
    activity: tuple[Activity, ...]
    chips: tuple[ChipColumn, ...]
    footprint: tuple[dict[str, Any], ...]
    profiles: dict[str, dict[str, Any]]
    notes: tuple[str, ...] = ()
    provenance: dict[str, str] = {}

    def row(self, name: str) -> NetworkRow:
        return next(row for row in self.rows if row.name == name)

    def to_html(self) -> str:
        """The report as a page that needs no network."""
        from hw_sim.energy.network.forms import page

        return page(self)


def network_report(
    graph: nir.NIRGraph,
    inputs: np.ndarray,
    settings: Settings,
    *,
    events: bool,
    int8: Work | None = None,
    notes: Sequence[str] = (),
    provenance: dict[str, str] | None = None,
    **told: str,
) -> NetworkReport:
    """Run a network as `foreign.read_foreign` gives it on inputs (T, n), and price it beside its twins.

    `events` says that inputs are spikes, as `counts.networks.are_events` finds. `int8` is the work of its integer plan,
    which chips price where `settings` say how it lies there. `told` are the report's texts. Raises UserError where the
    inputs do not fit, or are said to be spikes and are none.
    """
    simulator = Simulator.from_nir(drive(graph, inputs, events))
    result = simulator.run(np.arange(len(inputs)))
    simulator.reset()
    spikes = simulator.run(np.arange(min(len(inputs), OBSERVED_TOKENS)), record=True).spikes
    own = without_inputs(counted(NETWORK, simulator.plan, result))
    dense = twin(simulator.plan, len(inputs))
    ours, theirs = costs(own, settings), costs(dense, settings)
    rows = [_row("counted", own, ours)]
    chips: tuple[ChipColumn, ...] = ()
    if int8 is not None:
        placed = costs(int8, settings, "int8", placeable=True)
        rows.append(_row("counted", int8, placed))
        chips = _chips(int8, rows[-1], settings, placed)
    rows += [per_step := _row("assumed", dense, theirs), _shared(per_step, len(inputs))]
    every = {c: _extent({a: theirs[c][a].total_j / e.total_j for a, e in by.items() if e.total_j and a in theirs[c]})
             for c, by in ours.items() if by[""].total_j and c in theirs}  # fmt: skip
    once = {c: (a / len(inputs), b / len(inputs), d / len(inputs)) for c, (a, b, d) in every.items()}
    priced = {c for row in rows for c in row.energy_j}
    return NetworkReport(
        steps=len(inputs),
        columns=tuple(c for c in settings.columns if c.name in priced),
        rows=tuple(rows),
        ratios={TWIN: every, ONCE: once},
        matrices=tuple(
            NetworkMatrix(name=m.name, kind=KINDS[m.kind], weights=m.weights, done=m.effective / len(inputs),
                          dense=m.dense / len(inputs))
            for m in own.matrices
        ),
        activity=activity(result.populations, spikes),
        chips=chips,
        footprint=settings.footprints,
        profiles={name: msgspec.to_builtins(p) for name, p in settings.priced.items()},
        notes=tuple(notes),
        provenance=provenance or {},
        **told,
    )  # fmt: skip


def without_inputs(work: Work) -> Work:
    """Counts of a driven network without the table of inputs that `drive` built in."""
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
        operations.append(Task(kind, row.n_out, row.n_in, read, marked=row.shift > 0))
    found = vector_work(operations, steps)
    return Work(TWIN, steps, tuple(matrices), found.components, found.channels, found.tensors, counted=False)


def _extent(values: dict[str, float]) -> Span:
    return values[""], min(values.values()), max(values.values())


def _row(counts: str, work: Work, priced: Costs) -> NetworkRow:
    n = work.tokens
    return NetworkRow(
        name=work.name, counts=counts, dense=work.dense / n, accumulates=work.acs / n, graded=work.graded / n,
        macs=work.macs / n, elementwise=sum(work.elementwise.values()) / n, updates=work.neurons / n,
        spikes=work.spikes / n,
        energy_j={column: _extent({a: e.total_j for a, e in found.items()}) for column, found in priced.items()},
        energy_terms_j={column: found[""].terms for column, found in priced.items()},
        unpriced={column: found[""].unpriced for column, found in priced.items()},
    )  # fmt: skip


def _shared(row: NetworkRow, steps: int) -> NetworkRow:
    """What one pass costs each of so many steps."""
    counts = ("dense", "accumulates", "graded", "macs", "elementwise", "updates", "spikes")
    each = {name: getattr(row, name) / steps for name in counts}
    energy = {column: (a / steps, b / steps, c / steps) for column, (a, b, c) in row.energy_j.items()}
    terms, unpriced = (
        {column: {term: value / steps for term, value in by.items()} for column, by in held.items()}
        for held in (row.energy_terms_j, row.unpriced)
    )
    return NetworkRow(name=ONCE, counts=row.counts, energy_j=energy, energy_terms_j=terms, unpriced=unpriced, **each)


def _chips(int8: Work, row: NetworkRow, settings: Settings, priced: Costs) -> tuple[ChipColumn, ...]:
    """What the chips for spikes take on which the network was placed, with what their totals leave out."""
    n = int8.tokens
    counts = RowCounts(
        synops=row.operations, all_operations=row.operations + row.elementwise,
        multiply_accumulates=row.macs + row.graded,
        elementwise={name: sum(kinds.values()) / n for name, kinds in int8.components.items()},
    )  # fmt: skip
    return tuple(
        chip_column(
            column.name, row.name, settings.profile(column).grade, site, priced[column.name][""].terms,
            settings.profile(column).static_w_per_chip, counts, settings.tokens_per_s, STEP,
        )
        for column in settings.columns
        if settings.spiking_chip(column) and column.name in priced and (site := settings.site(column))
    )  # fmt: skip
