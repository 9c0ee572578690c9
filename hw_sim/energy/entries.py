"""The models that a report compares, as work with what is known of each; `row` turns one into figures."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hw_sim.energy.baselines import BASELINES
from hw_sim.energy.dense_models import zeros_behind_relu2
from hw_sim.energy.placement import Placement
from hw_sim.energy.price import Energy, traffic
from hw_sim.energy.schema import CHIP, Assumption, Grade, Role, Row, Shape
from hw_sim.energy.settings import Settings, TransformerQuality
from hw_sim.energy.shapes import gpt, spikegpt
from hw_sim.energy.work import DECODE, MEAN, PREFILL, Work
from spikegpt.config import CANONICAL, CONTINUOUS

if TYPE_CHECKING:
    from hw_sim.energy.measure import Measurement

GPT = "gpt"
Costs = dict[str, dict[str, Energy]]  # by column and alternative, as `price.costs` gives them
STRONG = (
    Assumption(
        "int8 weights and KV cache", "8 bits", "no loss of quality assumed; Dettmers et al. 2022, arXiv 2208.07339"
    ),
    Assumption("multi-query attention", "1 head of keys and values", "Shazeer 2019, arXiv 1911.02150"),
    Assumption(
        "sparse ReLU network", "90 % of hidden units zero", "ProSparse: 89 %, Song et al. 2024, arXiv 2402.13516"
    ),
)
TERNARY = Assumption(
    "ternary weights", "-1, 0, 1 in 2 bits; head int8", "BitNet b1.58, Ma et al. 2024, arXiv 2402.17764"
)


@dataclass(frozen=True)
class Entry:
    """One model: its work, and what the row says besides. `precision` is the only one it is priced at (None: all);
    `mean` its work averaged over the window, where that differs."""

    work: Work
    variant: str
    role: Role
    shape: Shape
    precision: str | None = None
    mean: Work | None = None
    notes: tuple[str, ...] = ()
    measurement: "Measurement | None" = None
    quality: TransformerQuality | None = None  # of a trained Transformer
    bits_per_byte: float | None = None
    formula: str | None = None
    reference: str | None = None
    published_bits_per_character: float | None = None

    @property
    def name(self) -> str:
        return self.work.name

    @property
    def placeable(self) -> bool:
        """Whether it is the network that a chip for spikes would hold: in int8, or a shape that stands for it."""
        return self.role == "int8" or (self.role == "subject" and self.measurement is None)


def transformers(shape: Shape, settings: Settings) -> list[Entry]:
    """Transformers of the subject's shape: in three precisions, and the strongest that is known."""
    window, mode = settings.window, settings.mode
    notes: tuple[str, ...] = ()
    if window > settings.trained_context:
        notes = (f"at {window:,} tokens: beyond the {settings.trained_context:,} that it was trained on, as learned "
                 "positions do not allow",)  # fmt: skip

    def entry(
        name: str, precision: str, quality: TransformerQuality | None = None, at: Shape = shape, **options
    ) -> Entry:
        work = gpt(name, at, window, mode, **options)
        mean = gpt(name, at, window, MEAN, **options) if mode == DECODE else None
        role: Role = "transformer" if at == shape else "candidate"
        return Entry(work, GPT, role, at, precision, mean, notes, quality=quality,
                     bits_per_byte=quality.bits_per_byte if quality else None)  # fmt: skip

    own = next((q for q in settings.qualities if q.shape == shape), None)
    return [
        entry("gpt-fp32", "fp32", own),
        entry("gpt-fp16", "fp16"),
        entry("gpt-int8", "int8"),
        entry("gpt-strong", "int8", kv_heads=1, relu_density=0.1, assumptions=STRONG),
        *(entry(q.name, "fp32", q, q.shape) for q in settings.qualities if q is not own),
    ]


def derived(shape: Shape, settings: Settings, have: set[tuple[str, Shape]]) -> list[Entry]:
    """Non-spiking and canonical SpikeGPTs of the subject's shape that nobody ran; the zeros of relu^2 are assumed."""
    found = []
    for variant in (CONTINUOUS, CANONICAL):
        assumed = zeros_behind_relu2(variant)
        share = {"ffn_value": float(assumed.value)}
        if (variant, shape) not in have:
            work = spikegpt(variant, variant, shape, share, prompt=prompt_of(settings), assumptions=(assumed,))
            found.append(Entry(work, variant, "derived", shape))
        if variant == CONTINUOUS:
            work = spikegpt(f"{variant}-ternary", variant, shape, share, prompt=prompt_of(settings), ternary=True,
                            assumptions=(assumed, TERNARY))  # fmt: skip
            found.append(Entry(work, variant, "derived", shape, "int8"))
    return found


def analytic(shape: Shape, settings: Settings) -> list[Entry]:
    """The other systems of the paper's table."""
    return [
        Entry(b.work(shape, settings.window, prompt_of(settings)), b.name, "analytic", shape, "fp32", formula=b.formula,
              reference=b.reference, published_bits_per_character=b.bits_per_character)
        for b in BASELINES
    ]  # fmt: skip


def measured(m: "Measurement", role: Role, settings: Settings) -> Entry:
    """A model that was run."""
    work = replace(m.work, prompt=prompt_of(settings))
    return Entry(work, m.variant, role, m.shape, "int8" if role == "int8" else None, measurement=m,
                 bits_per_byte=m.bits_per_byte)  # fmt: skip


def prompt_of(settings: Settings) -> int:
    """Tokens that are computed at once."""
    return settings.window if settings.mode == PREFILL else 1


def placed(entry: Entry, settings: Settings) -> Placement | None:
    """Where the row's spikes go, if it has any and lies on a chip."""
    if not entry.work.spiking or not entry.placeable:
        return None
    return next((site.placement for site in settings.sites.values() if site.placement), None)


def row(entry: Entry, settings: Settings, costs: Costs) -> Row:
    """The figures of one model in every column that prices it."""
    w, place = entry.work, placed(entry, settings)
    m = entry.measurement
    given = "from shapes and assumptions" if w.assumptions else "counted from shapes"
    per_token = 1 / w.tokens
    return Row(
        name=entry.name,
        variant=entry.variant,
        role=entry.role,
        shape=entry.shape,
        counts="counted on the text" if w.counted else given,
        precision=entry.precision,
        assumptions=w.assumptions,
        notes=entry.notes,
        file=m.file if m else entry.quality.file if entry.quality else None,
        text_sha256=m.text_sha256 if m else None,
        bits_per_byte=entry.bits_per_byte,
        bits_per_byte_interval=m.interval if m else None,
        dense=w.dense * per_token,
        effective_macs=w.macs * per_token,
        effective_acs=w.acs * per_token,
        graded=w.graded * per_token,
        synops=w.synops * per_token,
        all_operations=(w.synops + sum(w.elementwise.values())) * per_token,
        elementwise={k: v * per_token for k, v in w.elementwise.items()},
        components={c: {k: v * per_token for k, v in kinds.items()} for c, kinds in w.components.items()},
        neuron_updates=w.neurons * per_token,
        neurons_active=w.active * per_token,
        spikes=w.spikes * per_token if w.counted or w.spiking or not w.neurons else None,
        messages=place.messages_per_token if place else None,
        hops=place.hops_ew_per_token + place.hops_ns_per_token if place else None,
        bytes=moved(entry, settings),
        weight_words=sum(m.weights for m in w.matrices),
        state_words=w.state_words,
        kv_words=w.kv_words,
        energy_j={c.name: costs[c.name][""].total_j if c.name in costs else None for c in settings.columns},
        range_j={name: span(e.total_j for e in found.values()) for name, found in costs.items()},
        energy_terms_j={name: found[""].terms for name, found in costs.items()},
        unpriced={name: found[""].unpriced for name, found in costs.items()},
        totals={"tokens": w.tokens, "dense": w.dense, "effective_macs": w.macs, "effective_acs": w.acs},
        grades=grades(entry, place),
        formula=entry.formula,
        reference=entry.reference,
        published_bits_per_character=entry.published_bits_per_character,
    )


def grades(entry: Entry, place: Placement | None) -> dict[str, Grade]:
    """How each figure of a row was got."""
    activity: Grade = "assumed" if entry.work.assumptions else "counted"
    found: dict[str, Grade] = {}
    for key in ("dense", "state_words", "kv_words", "weight_words"):
        found[key] = "counted"
    for key in ("effective_macs", "effective_acs", "graded", "synops", "all_operations", "elementwise", "components",
                "neuron_updates", "neurons_active", "spikes", "totals"):  # fmt: skip
        found[key] = activity
    for key in ("bytes", "energy_j", "range_j", "energy_terms_j", *(("messages", "hops") if place else ())):
        found[key] = "modelled"
    if entry.bits_per_byte is not None:
        found["bits_per_byte"] = "measured"
    if entry.published_bits_per_character is not None:
        found["published_bits_per_character"] = "published"
    return found


def span(values: Iterable[float]) -> tuple[float, float]:
    """The lowest and the highest."""
    found = list(values)
    return min(found), max(found)


def moved(entry: Entry, settings: Settings) -> dict[str, dict[str, float]]:
    """Bytes moved by precision and level, of the first profile that has a memory with one for everything."""
    profile = next((p for p in settings.priced.values() if p.memory and not p.accounting), None)
    return {
        precision: traffic(entry.work, profile, precision, settings.batch)
        for precision in (profile.precisions if profile else ())
        if precision != CHIP and entry.precision in (None, precision)
    } if profile else {}  # fmt: skip
