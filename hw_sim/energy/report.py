"""The energy report as one plain dictionary: rows of models, columns of counts and prices, and what was left out.

Schema `spikegpt-energy-report-1`; see docs/report.md. Every number is per token unless its name says otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from hw_sim.energy import profiles, work
from hw_sim.energy.baselines import BASELINES
from hw_sim.energy.measure import Measurement, Shape
from hw_sim.energy.price import Placement, break_even_density, paper_table1, price, traffic
from hw_sim.energy.profiles import Profile
from hw_sim.energy.sweeps import Column, sweeps
from hw_sim.energy.work import AC, Work

SCHEMA = "spikegpt-energy-report-1"
DERIVED = ("continuous", "canonical")  # rows that follow from shapes where nobody measured them
BITS = {"fp32": 32, "fp16": 16, "int8": 8}


@dataclass(frozen=True)
class Settings:
    """What the comparison assumes: the Transformer's position, streams that share weight reads, prices, placement."""

    context: int = 1024
    batch: int = 1
    mode: str = work.DECODE
    priced: Mapping[str, Profile] = field(default_factory=profiles.shipped)
    precisions: tuple[str, ...] = ()  # none named: all
    placement: Placement | None = None
    baselines: bool = False
    footprints: tuple[dict, ...] = ()
    gpt_bits_per_byte: float | None = None

    @property
    def columns(self) -> list[Column]:
        """(column name, profile, precision) of every price column; a publication's own formula prices no counts."""
        return [
            (name if precision == "chip" else f"{name}-{precision}", profile, precision)
            for name, profile in self.priced.items()
            for precision in profile.precisions
            if profile.accounting != profiles.PAPER and (not self.precisions or precision in (*self.precisions, "chip"))
        ]


def row_of(w: Work, bpb: float | None, settings: Settings, only: str | None = None, **more: object) -> dict:
    """One model of the report; `only` restricts it to the columns of one precision."""
    energy: dict[str, float | None] = {}
    terms, unpriced = {}, {}
    placed = settings.placement if w.acs else None
    for column, profile, precision in settings.columns:
        fits = not only or precision == only
        priced = price(w, profile, precision, batch=settings.batch, placement=placed) if fits else None
        energy[column] = priced.total_j if priced else None
        if priced:
            terms[column], unpriced[column] = priced.terms, list(priced.unpriced)
    return {
        "name": w.name,
        "counts": "measured" if w.measured else "derived from shapes",
        "bits_per_byte": bpb,
        "dense": w.dense / w.tokens,
        "effective_macs": w.macs / w.tokens,
        "effective_acs": w.acs / w.tokens,
        "graded": w.graded / w.tokens,
        "synops": (w.macs + w.acs + w.graded) / w.tokens,
        "elementwise": {k: v / w.tokens for k, v in w.elementwise.items()},
        "neuron_updates": w.neurons / w.tokens,
        "neurons_active": w.active / w.tokens,
        "spikes": w.spikes / w.tokens if w.measured or w.acs or not w.neurons else None,
        "messages": placed.messages_per_token if placed else None,
        "hops": placed.hops_ew_per_token + placed.hops_ns_per_token if placed else None,
        "bytes": {
            precision: traffic(w, bits, settings.batch) for precision, bits in BITS.items() if only in (None, precision)
        },
        "weight_words": sum(m.weights for m in w.matrices),
        "state_words": w.state_words / w.tokens,
        "kv_words": w.kv_words,
        "energy_j": energy,
        "energy_terms_j": terms,
        "unpriced": unpriced,
        "totals": {"tokens": w.tokens, "dense": w.dense, "effective_macs": w.macs, "effective_acs": w.acs},
        **more,
    }


def build(
    measured: Sequence[Measurement],
    settings: Settings,
    *,
    int8: Measurement | None = None,
    what_if: tuple[Shape, float | Mapping[str, float]] | None = None,
    provenance: dict | None = None,
) -> dict:
    """Compare the first measured model (or, without one, the assumed densities of `what_if`) with everything else.

    `int8` is the first model quantised, for its own quality and activity.
    """
    if what_if:
        shape, density = what_if
        subject = work.spikegpt("spike-driven", shape.n_layer, shape.d, shape.vocab, density)
    else:
        shape, subject = measured[0].shape, measured[0].work
    args = (shape.n_layer, shape.d, shape.vocab)
    gpts = {p: work.gpt(f"gpt-{p}", *args, settings.context, settings.mode) for p in ("fp32", "int8")}
    rows = [
        row_of(gpts["fp32"], settings.gpt_bits_per_byte, settings, "fp32"),
        row_of(gpts["int8"], None, settings, "int8"),
    ]
    have = {m.variant for m in measured}
    rows += [row_of(work.spikegpt(name, *args), None, settings) for name in DERIVED if name not in have]
    if what_if:
        rows.append(row_of(subject, None, settings))
    rows += [row_of(m.work, m.bits_per_byte, settings) for m in measured]
    if int8:
        rows.append(row_of(int8.work, int8.bits_per_byte, settings, "int8"))
    if settings.baselines:
        rows += [
            row_of(
                b.work(*args, settings.context), None, settings, "fp32", formula=b.formula, reference=b.reference,
                published_bits_per_character=b.bits_per_character,
            )
            for b in BASELINES
        ]  # fmt: skip
    density_ = density_of(subject)
    chips = max((f["chips"] or 1 for f in settings.footprints if f["chip"] == "Loihi 1"), default=1)
    report = {
        "schema": SCHEMA,
        "model": {
            "row": subject.name,
            "variant": measured[0].variant if measured else "spike-driven",
            **asdict(shape),
            "weights": sum(m.weights for m in subject.matrices),
        },
        "measurement": {
            "measured": not what_if,
            "tokens": 0 if what_if else subject.tokens,
            "context": settings.context,
            "mode": settings.mode,
            "batch": settings.batch,
            "density": density_,
        },
        "rows": rows,
        "ratios": ratios(rows, subject.name),
        "profiles": {name: asdict(p) for name, p in settings.priced.items()},
        "matrices": matrices(measured[0] if measured else None, subject, settings),
        "populations": [
            {"name": p.name, "neurons": p.neurons, "rate": p.spikes / p.updates}
            for m in measured[:1]
            for p in m.result.populations
        ],
        "break_even": {
            column: break_even(profile, precision, shape, settings) for column, profile, precision in settings.columns
        },
        "sweeps": sweeps(shape, subject, settings.columns, settings.batch, chips),
        "footprint": list(settings.footprints),
        "paper_accounting": paper_accounting(),
        "provenance": provenance or {},
    }
    report["verdicts"] = verdicts(report)
    return report


def density_of(w: Work) -> float:
    """Active share of the body's synapse inputs, weighted by fan-out."""
    body = [m for m in w.matrices if m.name != "head"]
    return sum(m.effective for m in body) / sum(m.dense for m in body)


def matrices(measurement: Measurement | None, subject: Work, settings: Settings) -> list[dict]:
    """Every matrix: structural and observed class of its input, density, and the density where spikes stop paying."""
    observed = measurement.observed if measurement else {}
    found = []
    for m in subject.matrices:
        fan_out = m.fan_out or round(m.weights**0.5)
        limits = {
            column: break_even_density(profile, precision, m.weights // fan_out, fan_out, settings.batch)
            for column, profile, precision in settings.columns
        }
        density = m.effective / m.dense
        found.append(
            {
                "name": m.name,
                "input": "spikes" if m.kind == AC else "real",
                "observed": observed.get(m.name),
                "density": density,
                "synops_per_token": m.effective / subject.tokens,
                "dense_per_token": m.dense // subject.tokens,
                "break_even": limits,
                "margin": {k: v / density for k, v in limits.items() if v is not None and density},
            }
        )
    return found


def break_even(profile: Profile, precision: str, shape: Shape, settings: Settings) -> float | None:
    """Density of matrix inputs at which the whole spike-driven model costs what its non-spiking twin does.

    None where the profile cannot price the twin. Above 1 the profile can never say no to spikes.
    """
    args = (shape.n_layer, shape.d, shape.vocab)
    ends = [
        price(work.spikegpt("spike-driven", *args, r), profile, precision, batch=settings.batch) for r in (0.0, 1.0)
    ]
    twin = price(work.spikegpt("continuous", *args), profile, precision, batch=settings.batch)
    if twin is None or ends[0] is None or ends[1] is None:
        return None
    return (twin.total_j - ends[0].total_j) / (ends[1].total_j - ends[0].total_j)


def ratios(rows: list[dict], subject: str) -> dict[str, dict[str, float]]:
    """How many times more each reference row costs than the subject, at the same prices.

    The GPT rows have a precision of their own, so that a column of another compares across precisions, never across
    profiles; the twin is compared at the column's.
    """
    by_name = {row["name"]: row for row in rows}
    ours = by_name[subject]
    found: dict[str, dict[str, float]] = {}
    for reference in ("gpt-fp32", "gpt-int8", "continuous"):
        theirs = by_name[reference]
        found[reference] = {"operations": theirs["synops"] / ours["synops"]}
        for column, own in ours["energy_j"].items():
            energy = theirs["energy_j"].get(column_of(column, reference))
            if energy is not None and own:
                found[reference][column] = energy / own
    return found


def column_of(column: str, reference: str) -> str:
    """The column of the same profile that prices a reference row."""
    precision = reference.removeprefix("gpt-")
    return column if precision == reference else f"{column.rpartition('-')[0]}-{precision}"


def paper_accounting(context: int = 3072, d: int = 512) -> dict:
    """The published claim, recomputed with the paper's own formulas; grade: assumed."""
    transformer, spiking = paper_table1(context, d)
    return {
        "profile": profiles.PAPER,
        "grade": "assumed",
        "context": context,
        "d": d,
        "rate": 0.15,
        "transformer_j": transformer,
        "spikegpt_j": spiking,
        "ratio": transformer / spiking,
        "why_it_differs": "the paper multiplies matrix operations by the firing rate of the LIF outputs; in the "
        "published block those matrices read real numbers (LayerNorm, r * wkv, relu^2), so none of them is an "
        "accumulate. It counts one layer, no head, and attention as 5 T^2.",
    }


def verdicts(report: dict) -> dict[str, str]:
    """One sentence a price column: who wins, by how much, and how far the density is from break-even."""
    name, density = report["model"]["row"], report["measurement"]["density"]
    found = {}
    for column in report["break_even"]:
        reference = "gpt-int8" if column.endswith("-int8") else "gpt-fp32"  # the same precision on both sides
        ratio = report["ratios"][reference].get(column) if column_of(column, reference) == column else None
        if ratio is None:
            own = next(row for row in report["rows"] if row["name"] == name)["energy_j"][column]
            if own is not None:
                found[column] = (
                    f"{name} takes {own * 1e6:.2f} uJ a token; no Transformer is priced here to compare with."
                )
            continue
        text = f"{name} takes {times(ratio)} energy a token than {reference}"
        twin = report["ratios"]["continuous"].get(column)
        if twin is not None and name != "continuous":
            text += f", and {times(twin)} than its non-spiking twin"
        limit = report["break_even"][column]
        if report["model"]["variant"] == "spike-driven" and limit is not None:
            side = "below" if density < limit else "above"
            text += f"; its density {density:.3f} is {side} the break-even of {limit:.2f}, by {margin(limit, density)}"
            text += " (a limit above 1: this profile can never favour the twin)" if limit > 1 else ""
        found[column] = text + "."
    return found


def times(ratio: float) -> str:
    """A ratio in words, whoever wins."""
    return f"{ratio:.1f}x less" if ratio >= 1 else f"{1 / ratio:.1f}x more"


def margin(limit: float, density: float) -> str:
    """How far a density is from its limit, as a factor."""
    if not density:
        return "an infinite factor"
    return f"a factor {max(limit / density, density / limit):.1f}"
