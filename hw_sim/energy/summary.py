"""The report in its first sentences: the verdict with its range, the quality, and what the numbers are."""

from typing import NamedTuple

from hw_sim.energy.schema import OPERATIONS, Column, Finding, Report, Row
from spikegpt.config import SPIKE_DRIVEN

EQUAL_QUALITY = "equal quality"  # stem of the rival that is no row: the cheapest models that predict as well
LABELS = {
    "gpt": "a Transformer of the same shape",
    "gpt-strong": "a Transformer made cheap by all known means",
    "continuous": "the same network without spikes",
    "continuous-ternary": "that network with ternary weights",
    "canonical": "the published SpikeGPT block",
    EQUAL_QUALITY: "non-spiking models of equal quality",
}


class Span(NamedTuple):
    """How many times the subject's cost, and between which values over the alternatives of the prices."""

    ratio: float
    low: float
    high: float


class Rival(NamedTuple):
    """What the subject is compared with, in whatever precision: `spans` by column."""

    stem: str
    label: str
    spans: dict[str, Span]


def stem(row: Row) -> str:
    """The name of a row without the precision that it stands for."""
    return row.name.removesuffix(f"-{row.precision}") if row.precision else row.name


def label(row: Row) -> str:
    """A row in words."""
    return LABELS.get(stem(row), row.name)


def rivals(report: Report) -> list[Rival]:
    """What spikes have to beat, in the order of the rows: Transformers, the network without spikes, other models that
    were run, and the models of equal quality last; not the subject in int8, nor rows from formulas."""
    found: dict[str, Rival] = {}
    for c in report.comparisons:
        row = report.row(c.reference)
        if (
            c.column in names(report)
            and row.role in ("transformer", "derived", "candidate")
            and stem(row) != "canonical"
        ):
            rival = found.setdefault(stem(row), Rival(stem(row), label(row), {}))
            rival.spans[c.column] = Span(c.ratio, c.low, c.high)
    equal = {
        v.column: Span(v.ratio, v.low if v.low is not None else v.ratio, v.high if v.high is not None else v.ratio)
        for v in report.equal_quality.verdicts
        if v.row == report.subject.name and v.ratio is not None and v.column in names(report)
    }
    if equal:
        found[EQUAL_QUALITY] = Rival(EQUAL_QUALITY, LABELS[EQUAL_QUALITY], equal)
    return list(found.values())


def names(report: Report) -> list[str]:
    return [c.name for c in report.columns]


def shown_first(report: Report) -> Column | None:
    """The price column that a form starts with: of those that compare most rivals, the one that leaves least unpriced;
    None where no column prices the subject."""
    own, found = report.subject, rivals(report)
    priced = [c for c in report.columns if own.energy_j.get(c.name) is not None]
    compared = {c.name: sum(c.name in r.spans for r in found) for c in priced}
    return min(priced, key=lambda c: (-compared[c.name], len(own.unpriced.get(c.name, {}))), default=None)


def title(report: Report) -> str:
    m = report.model
    return f"Energy of a {m['variant']} SpikeGPT, {m['n_layer']} layers of width {m['d']}"


def verdict(report: Report) -> str:
    """One sentence: how many times the subject's energy its rivals take, each with its range over all prices."""
    if report.subject.variant == SPIKE_DRIVEN and not report.subject.effective_acs:
        return report.findings[0].text  # dead: no saving is claimed
    found = rivals(report)
    if not found:
        ratio = next((r[OPERATIONS] for r in report.ratios.values() if OPERATIONS in r), None)
        more = f": {label(report.rows[0])} does {times(ratio)} its operations" if ratio else ""
        return f"No price list of this report compares {report.subject.name} with another model{more}."
    ranges = [(r.label, min(s.low for s in r.spans.values()), max(s.high for s in r.spans.values())) for r in found]
    return f"For each token {compared(ranges, report.subject.name)}."


def compared(ranges: list[tuple[str, float, float]], name: str) -> str:
    """Which others take how many times the energy of `name`, from a lowest to a highest ratio."""
    ranges.sort(key=lambda x: (x[1] <= 1, x[2] < 1))  # those that cost more first, those that cost less last
    less = [x for x in ranges if x[2] < 1]
    said = [f"{name} {span(low, high)}" for name, low, high in ranges if high >= 1]
    if said:
        said[0] = said[0].replace(f"{ranges[0][0]} ", f"{ranges[0][0]} takes ", 1) + f" the energy of {name}"
    parts = [f"{name_} only {span(low, high)}" for name_, low, high in less]
    if parts and not said:
        parts[0] = parts[0].replace(" only ", " takes only ", 1) + f" the energy of {name}"
    return listed(said) + (", but " if said and parts else "") + listed(parts)


def general(report: Report) -> list[Finding]:
    """The findings that no single column's verdict says, and all losses."""
    return [f for f in report.findings if f.loses or not f.column]


def quality(report: Report) -> str:
    """Bits per byte of the subject, how sure they are and of which bytes, or that nothing was run."""
    own = report.subject
    if own.bits_per_byte is None:
        return "Quality: not known, as nothing was run."
    m, found = report.measurement, own.bits_per_byte_interval
    sure = "no interval, as the text is too short"
    if found:
        half = (found[1] - found[0]) / 2 / own.bits_per_byte
        sure = f"{m['interval']['level']:.0%} interval {found[0]:.3f} to {found[1]:.3f}, about ±{half:.1%}"
    text = report.provenance.get("text", "the text")
    read = m.get("text")
    part = f", {read['bytes']:,} bytes from token {read['offset']:,}, sha256 {read['sha256'][:12]}" if read else ""
    return (
        f"Quality: {own.bits_per_byte:.3f} bits per byte (measured; {sure}) on {m['tokens']:,} tokens of {text}{part}."
    )


def basis(report: Report) -> str:
    """What the numbers are."""
    m, n = report.measurement, len(report.columns)
    counts = (
        f"counted by running the model on {m['tokens']:,} tokens"
        if m["measured"]
        else f"derived from the shape at an assumed density of {m['density']:.3f}"
    )
    prices = f"{n} price column{'s' * (n != 1)}" if n else "no price column"
    beyond = " (beyond the context of training)" if m["context"] > m.get("trained_context", m["context"]) else ""
    return (
        f"Operations are {counts}; energy is modelled, operations times published prices ({prices}), none of it "
        f"measured. A Transformer's token: {m['mode']} at context {m['context']:,}{beyond}; batch {m['batch']}. "
        f"A ratio says how many times the energy of {report.subject.name} the other takes: above 1 spikes save."
    )


def paper(report: Report) -> str:
    """The published accounting, and why it is another figure."""
    p = report.paper_accounting
    return (
        f"At T = {p['context']}, d = {p['d']}, rate {p['rate']}: {p['ratio']:.2f} times ({p['grade']}). Why it differs "
        f"from the rows counted here: {p['why_it_differs']}"
    )


def times(ratio: float) -> str:
    """A ratio to two digits, more where they stand before the point: "0.66 times", "14 times", "1,234 times"."""
    return f"{digits(ratio)} times"


def digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def span(low: float, high: float) -> str:
    """Two ends of a ratio: "7.7 to 17 times"."""
    return f"{short(low)} times" if short(low) == short(high) else f"{short(low)} to {short(high)} times"


def short(value: float) -> str:
    """Two digits, or all before the point."""
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}" if value < 0.995 else f"{value:.1f}"


def listed(texts: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if texts[1:] else texts)


def microjoules(joules: float | None) -> str:
    """Without the unit; to three digits behind the point, more below a nanojoule's worth."""
    return "-" if joules is None else f"{joules * 1e6:,.3f}" if joules >= 1e-8 or not joules else f"{joules * 1e6:.3g}"
