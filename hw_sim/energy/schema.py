"""report.json as types: rows of models, columns of prices, what is compared, and how each figure was got (its grade).

Schema `spikegpt-energy-report-2`, documented in docs/report.md. Every number is per token unless its name says
otherwise; None is "not measured" or "no price".
"""

from typing import Any, ClassVar, Final, Literal, Protocol

from msgspec import Struct, field

from hw_sim.energy.chips import ChipColumn
from hw_sim.energy.compressors import Compressed
from hw_sim.energy.host import Host
from hw_sim.energy.systems import System

SCHEMA: Final = "spikegpt-energy-report-2"
CHIP: Final = "chip"  # the precision of a chip's price list: it has but one
OPERATIONS, ALL_OPERATIONS = "operations", "all_operations"  # for a column's name where no energy is compared: of the
# matrices alone, and with element-wise ones

# counted: exact integers, of a run or of shapes; assumed: a named assumption goes in; modelled: counts times prices;
# measured: read off an instrument, or the quality of a run; published: another's figure.
Grade = Literal["counted", "assumed", "modelled", "measured", "published"]
Role = Literal["transformer", "derived", "subject", "int8", "candidate", "analytic"]


class Column(Struct, frozen=True):
    """A price column: one profile at one precision of its numbers."""

    profile: str
    precision: str
    name: str  # as keys of energy_j and ratios write it

    @classmethod
    def of(cls, profile: str, precision: str) -> "Column":
        return cls(profile, precision, profile if precision == CHIP else f"{profile}-{precision}")


class Shape(Struct, frozen=True):
    """Layers, width and vocabulary."""

    n_layer: int
    d: int
    vocab: int


class Assumption(Struct, frozen=True):
    """What a row takes for granted, its value, and who says so."""

    name: str
    value: str
    source: str


class Row(Struct, frozen=True, kw_only=True):
    """One model: its counts, its quality, and what it costs in every column that prices it.

    `counts` says in words how they were got: "counted on the text", "counted from shapes", or from shapes and assumed
    rates, and then `assumptions` names each. `precision` is the only one a row stands for (a GPT in int8), None: all.
    """

    name: str
    variant: str
    role: Role
    shape: Shape
    counts: str
    precision: str | None
    assumptions: tuple[Assumption, ...] = ()
    notes: tuple[str, ...] = ()
    file: str | None = None
    bits_per_byte_interval: tuple[float, float] | None = None  # of measurement["interval"]: a block bootstrap
    text_sha256: str | None = None  # of the bytes that were read
    bits_per_byte: float | None = None
    dense: float
    effective_macs: float
    effective_acs: float
    graded: float
    synops: float  # done by the matrices, of all kinds
    all_operations: float  # synops and element-wise ones
    elementwise: dict[str, float]  # by kind: mul, add, cmp, exp, div, sqrt
    components: dict[str, dict[str, float]]  # the same, by component (layer_norm, wkv, ..) and kind
    neuron_updates: float
    neurons_active: float
    spikes: float | None
    messages: float | None = None
    hops: float | None = None
    bytes: dict[str, dict[str, float]]  # moved, by precision and memory level
    weight_words: int
    state_words: float
    kv_words: float
    energy_j: dict[str, float | None]  # by column name
    range_j: dict[str, tuple[float, float]]  # lowest and highest over the alternatives of the column's profile
    energy_terms_j: dict[str, dict[str, float]]
    unpriced: dict[str, dict[str, float]]  # by column: what was counted (and how often) and has no price
    totals: dict[str, int]
    grades: dict[str, Grade]  # by the key of this row that it holds for
    formula: str | None = None  # of an analytic row
    reference: str | None = None
    published_bits_per_character: float | None = None


class Comparison(Struct, frozen=True, kw_only=True):
    """How many times the cost of `subject` the row `reference` has, in one column (or in operations).

    `low` and `high` span the alternatives of the profile, each priced for both rows alike; `by_alternative` names them.
    `window_mean` is the ratio where the Transformer's token is the mean over the window instead of its last position.
    """

    reference: str
    subject: str
    column: str
    ratio: float
    low: float
    high: float
    by_alternative: dict[str, float]
    window_mean: float | None
    assumptions: tuple[str, ...]  # of either row
    grade: Grade


class Finding(Struct, frozen=True, kw_only=True):
    """A sentence of the verdict; those where spikes lose come first."""

    text: str
    loses: bool
    grade: Grade
    column: str | None = None


class DensePoint(Struct, frozen=True, kw_only=True):
    """A model in the plane of quality and cost; `cost` by column name, `operations` and `all_operations`."""

    name: str
    spiking: bool
    source: str  # "this report" or the shipped sweep
    shape: Shape
    bits_per_byte: float
    cost: dict[str, float]


class EqualCost(Struct, frozen=True, kw_only=True):
    """What non-spiking models of equal quality cost: `ratio` times the row's own, between the two models `between`.

    None where no such model is that good (then `text` says so), or where all are better: then `ratio` is an upper bound
    and `bound` is true.
    """

    row: str
    column: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    bound: bool = False
    between: tuple[str, ...]
    text: str


class EqualQuality(Struct, frozen=True, kw_only=True):
    """Models of this text in the plane of quality and cost, the fronts, and the verdict at equal quality."""

    available: bool
    reason: str
    tokens: int = 0  # of the text's part that all points were scored on
    points: tuple[DensePoint, ...] = ()
    fronts: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by column: the models none other beats
    verdicts: tuple[EqualCost, ...] = ()


class Scenario(Struct, frozen=True, kw_only=True):
    """The same models at another context of the Transformer and another batch: what the page's switch shows."""

    context: int
    batch: int
    energy_terms_j: dict[str, dict[str, dict[str, float]]]  # row -> column -> term -> joules a token; absent: no price
    ratios: dict[str, dict[str, tuple[float, float, float]]]  # reference row -> column -> ratio, lowest, highest


class Activity(Struct, frozen=True, kw_only=True):
    """How one LIF population fired over the text: exact counts, and a look at its first tokens.

    `histogram` are neurons by share of tokens at which they fired, in bins with the edges RATE_EDGES; `dead` never
    fired and `saturated` always did (indices, at most NAMED of them). `raster` are (token, neuron) of the spikes of
    the neurons `sampled` at the first `raster_tokens` tokens.
    """

    name: str
    neurons: int
    rate: float
    histogram: tuple[int, ...]
    dead_count: int
    saturated_count: int
    dead: tuple[int, ...]
    saturated: tuple[int, ...]
    sampled: tuple[int, ...] = ()
    raster_tokens: int = 0
    raster: tuple[tuple[int, int], ...] = ()


class Told(Protocol):
    """What pictures and tables of neurons, chips and prices ask of a report; all its numbers are per `unit`."""

    unit: ClassVar[str]

    @property
    def activity(self) -> tuple[Activity, ...]: ...
    @property
    def chips(self) -> tuple[ChipColumn, ...]: ...
    @property
    def footprint(self) -> tuple[dict[str, Any], ...]: ...
    @property
    def profiles(self) -> dict[str, dict[str, Any]]: ...


RATE_EDGES = (0.0, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9, 1.0)
NAMED = 20


class Report(Struct, frozen=True, kw_only=True):
    """All of it. Free-form parts (dict[str, Any]) are described in docs/report.md."""

    unit: ClassVar[str] = "token"

    schema: Literal["spikegpt-energy-report-2"] = SCHEMA
    model: dict[str, Any]
    measurement: dict[str, Any]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    ratios: dict[str, dict[str, float]]  # reference row -> column (or "operations") -> ratio: `comparisons` in short
    equal_quality: EqualQuality
    findings: tuple[Finding, ...]
    verdicts: dict[str, str]  # column name -> its sentence
    profiles: dict[str, dict[str, Any]]
    break_even: dict[str, float | None]
    matrices: tuple[dict[str, Any], ...]
    sweeps: dict[str, Any]
    footprint: tuple[dict[str, Any], ...]
    chips: tuple[ChipColumn, ...] = ()  # the columns of chips for spikes: the int8 row, with what the total leaves out
    compressors: tuple[Compressed, ...] = ()  # on the text that was read, for scale
    host: Host | None = None  # what this machine took, measured
    systems: tuple[System, ...] = ()  # published figures, for context: never divided
    paper_accounting: dict[str, Any]
    provenance: dict[str, Any]
    activity: tuple[Activity, ...] = ()
    scenarios: tuple[Scenario, ...] = ()

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    @property
    def subject(self) -> Row:
        """The row that the report is about."""
        return self.row(self.model["row"])

    def to_html(self) -> str:
        """The report as a page that needs no network."""
        from hw_sim.energy.page import page

        return page({self.model["row"]: self})

    def to_pandas(self) -> Any:
        """The rows as a pandas.DataFrame by name: operations a token, bits per byte, and joules by price column.

        Raises ImportError where pandas is not installed.
        """
        import pandas

        rows = {
            row.name: {"synops": row.synops, "bits_per_byte": row.bits_per_byte, **row.energy_j} for row in self.rows
        }
        return pandas.DataFrame.from_dict(rows, orient="index")
