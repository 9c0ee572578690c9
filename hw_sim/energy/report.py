"""The energy report: models and settings in, one typed record out (hw_sim/energy/schema.py, docs/report.md)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hw_sim.energy import break_even, paper
from hw_sim.energy.activity import activity
from hw_sim.energy.chips import ChipColumn, RowCounts, Site, chip_column
from hw_sim.energy.compressors import Compressed
from hw_sim.energy.entries import Entry, analytic, derived, measured, prompt_of, row, transformers
from hw_sim.energy.front import equal_quality
from hw_sim.energy.host import Host
from hw_sim.energy.price import costs
from hw_sim.energy.quality import BLOCK, DRAWS, LEVEL, SEED, TextRead
from hw_sim.energy.ratios import compare, in_short
from hw_sim.energy.scenarios import scenarios
from hw_sim.energy.schema import Assumption, Report, Row, Shape
from hw_sim.energy.settings import Settings
from hw_sim.energy.shapes import spikegpt
from hw_sim.energy.sweeps import sweeps
from hw_sim.energy.systems import published_systems
from hw_sim.energy.verdict import findings, verdicts
from hw_sim.energy.work import AC, Work
from spikegpt.config import CONTINUOUS, SPIKE_DRIVEN

if TYPE_CHECKING:
    from hw_sim.energy.measure import Measurement


def build(
    models: "Sequence[Measurement]",
    settings: Settings,
    *,
    int8: "Measurement | None" = None,
    what_if: tuple[Shape, float | Mapping[str, float]] | None = None,
    provenance: dict | None = None,
    text: TextRead | None = None,
    compressors: Sequence[Compressed] = (),
    host: Host | None = None,
    elsewhere: bool = True,
) -> Report:
    """Compare the first measured model (or, without one, the assumed densities of `what_if`) with everything else.

    `int8` is the first model quantised, for its own quality and activity; `elsewhere`: at other contexts and
    batches too.
    """
    entries = lineup(models, settings, int8, what_if)
    subject = next(e for e in entries if e.role == "subject")
    twin = next(e for e in entries if e.variant == CONTINUOUS and e.shape == subject.shape and e.precision is None)
    priced = {e.name: costs(e.work, settings, e.precision, placeable=e.placeable) for e in entries}
    rows = [row(e, settings, priced[e.name]) for e in entries]
    own = next(r for r in rows if r.name == subject.name)
    comparisons = [c for e in entries if e.name != subject.name for c in compare(e, subject, settings, priced)]
    quality = equal_quality(entries, settings, priced)
    limits = model_limits(subject, twin, settings)
    chips = chip_columns(entries, rows, settings)
    return Report(
        model=model_facts(subject),
        measurement=measurement_facts(subject, settings, text),
        columns=settings.columns,
        rows=tuple(rows),
        comparisons=tuple(comparisons),
        ratios=in_short(comparisons),
        equal_quality=quality,
        findings=tuple(findings(entries, settings, comparisons, quality)),
        verdicts=verdicts(entries, settings, comparisons, quality, limits, own)
        | {c.column: f"{c.text}." for c in chips},
        profiles={name: msgspec.to_builtins(p) for name, p in settings.priced.items()},
        break_even=limits,
        matrices=tuple(matrices(subject, settings)),
        sweeps=sweeps(subject.shape, subject, twin, settings),
        footprint=settings.footprints,
        chips=chips,
        compressors=tuple(compressors),
        host=host,
        systems=published_systems(),
        paper_accounting=paper.accounting(),
        provenance=provenance or {},
        activity=activity(run.counts.populations, run.spikes) if (run := subject.measurement) else (),
        scenarios=scenarios(lambda at: lineup(models, at, int8, what_if), settings) if elsewhere else (),
    )


def lineup(
    models: "Sequence[Measurement]",
    settings: Settings,
    int8: "Measurement | None",
    what_if: tuple[Shape, float | Mapping[str, float]] | None,
) -> list[Entry]:
    """All rows in order: Transformers, what was not run, the models, the first one in int8, other systems."""
    if what_if:
        shape, density = what_if
        given = Assumption(name="density of matrix inputs", value=written(density), source="given by the user")
        work = spikegpt(SPIKE_DRIVEN, SPIKE_DRIVEN, shape, density, prompt=prompt_of(settings), assumptions=(given,))
        own = [Entry(work, SPIKE_DRIVEN, "subject", shape)]
    else:
        shape = models[0].shape
        own = [measured(m, "candidate" if i else "subject", settings) for i, m in enumerate(models)]
        own += [measured(int8, "int8", settings)] if int8 else []
    have = {(e.variant, e.shape) for e in own if e.precision is None}
    others = analytic(shape, settings) if settings.baselines else []
    return [*transformers(shape, settings), *derived(shape, settings, have), *own, *others]


def written(density: float | Mapping[str, float]) -> str:
    """Assumed densities in words: one number where all parts have it."""
    by_part = density if isinstance(density, Mapping) else {"": density}
    values = {f"{value:g}" for value in by_part.values()}
    return values.pop() if len(values) == 1 else ", ".join(f"{part} {value:g}" for part, value in by_part.items())


def model_facts(subject: Entry) -> dict[str, Any]:
    return {
        "row": subject.name,
        "variant": subject.variant,
        **msgspec.structs.asdict(subject.shape),
        "weights": sum(m.weights for m in subject.work.matrices),
    }


def chip_columns(entries: Sequence[Entry], rows: Sequence[Row], settings: Settings) -> tuple[ChipColumn, ...]:
    """What chips for spikes take: the row that could be placed, with what its total leaves out."""
    return tuple(
        chip_column(
            column.name,
            found.name,
            settings.profile(column).grade,
            settings.site(column) or Site.unknown(settings.profile(column).technology),
            found.energy_terms_j[column.name],
            settings.profile(column).static_w_per_chip,
            RowCounts(
                synops=found.synops,
                all_operations=found.all_operations,
                multiply_accumulates=found.effective_macs + found.graded,
                elementwise={name: sum(kinds.values()) for name, kinds in found.components.items()},
            ),
            settings.tokens_per_s,
        )
        for column in settings.columns
        if settings.spiking_chip(column)
        for entry, found in zip(entries, rows, strict=True)
        if entry.placeable and column.name in found.energy_terms_j
    )


def measurement_facts(subject: Entry, settings: Settings, text: TextRead | None) -> dict[str, Any]:
    """What was run, and what the comparison assumes."""
    run = subject.measurement is not None
    return {
        "measured": run,
        "tokens": subject.work.tokens if run else 0,
        "context": settings.window,
        "trained_context": settings.trained_context,
        "mode": settings.mode,
        "batch": settings.batch,
        "tokens_per_s": settings.tokens_per_s,
        "text": msgspec.to_builtins(text),
        "interval": {"level": LEVEL, "block": BLOCK, "draws": DRAWS, "seed": SEED} if run else None,
        "density": subject.work.density,
        "grade": "counted" if run else "assumed",
    }


def model_limits(subject: Entry, twin: Entry, settings: Settings) -> dict[str, float | None]:
    """By column, the density of matrix inputs at which a model of the shape costs what its non-spiking twin does."""
    shape, prompt = subject.shape, prompt_of(settings)
    cache: dict[float, Work] = {}

    def at(density: float) -> Work:
        if density not in cache:
            cache[density] = spikegpt("", SPIKE_DRIVEN, shape, density, prompt=prompt)
        return cache[density]

    return {
        c.name: break_even.of_model(settings.profile(c), c.precision, at, twin.work, settings.batch)
        for c in settings.columns
    }


def matrices(subject: Entry, settings: Settings) -> list[dict[str, Any]]:
    """Every matrix: structural and observed class of its input, density, and the density where spikes stop paying."""
    observed = subject.measurement.observed if subject.measurement else {}
    sharing = settings.batch * prompt_of(settings)
    found = []
    known: dict[tuple[int, int], dict[str, float | None]] = {}
    for m in subject.work.matrices:
        size = (m.weights // m.fan_out, m.fan_out)
        if size not in known:
            known[size] = {
                c.name: break_even.of_projection(settings.profile(c), c.precision, *size, sharing)
                for c in settings.columns
            }
        density, limits = m.effective / m.dense, known[size]
        found.append(
            {
                "name": m.name,
                "input": "spikes" if m.kind == AC else "real",
                "observed": observed.get(m.name),
                "density": density,
                "synops_per_token": m.effective / subject.work.tokens,
                "dense_per_token": m.dense // subject.work.tokens,
                "break_even": limits,
                "margin": {k: v / density for k, v in limits.items() if v is not None and density},
            }
        )
    return found
