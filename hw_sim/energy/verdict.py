"""The report in sentences: where spiking loses first, then what it saves, with the range that the prices leave."""

from collections.abc import Sequence

from hw_sim.energy.break_even import sentence
from hw_sim.energy.entries import Entry
from hw_sim.energy.front import figure, times
from hw_sim.energy.schema import ALL_OPERATIONS, CHIP, OPERATIONS, Column, Comparison, EqualQuality, Finding
from hw_sim.energy.settings import Settings

RIVALS = ("gpt-fp32", "gpt-fp16", "gpt-int8", "gpt-strong", "continuous", "continuous-ternary", "canonical")


def findings(
    subject: Entry,
    settings: Settings,
    comparisons: Sequence[Comparison],
    quality: EqualQuality,
) -> list[Finding]:
    """All sentences: a dead model, then losses, then the operations, then what is saved."""
    found = [*_dead(subject), *_equal(subject, quality)]
    for c in comparisons:
        if c.reference in RIVALS and c.subject == subject.name and c.column not in (OPERATIONS, ALL_OPERATIONS):
            found.append(Finding(text=f"{c.column}: {against(c)}.", loses=c.ratio < 1, grade=c.grade, column=c.column))
    losses = [f for f in found if f.loses]
    gains = [f for f in found if not f.loses]
    return [*losses, *_operations(subject, settings, comparisons), *gains, *_quality(quality)]


def _dead(subject: Entry) -> list[Finding]:
    w = subject.work
    if not w.spiking or w.acs:
        return []
    text = f"{subject.name} is dead: density 0, not one spike reaches a matrix; what it saves means nothing."
    return [Finding(text=text, loses=True, grade="counted" if w.counted else "assumed")]


def _equal(subject: Entry, quality: EqualQuality) -> list[Finding]:
    return [
        Finding(
            text=f"{v.column}: {v.text}.", loses=v.ratio is not None and v.ratio < 1, grade="modelled", column=v.column
        )
        for v in quality.verdicts
        if v.row == subject.name
    ]


def _quality(quality: EqualQuality) -> list[Finding]:
    if quality.available:
        return []
    return [Finding(text=f"Equal quality: {quality.reason}.", loses=False, grade="measured")]


def _operations(subject: Entry, settings: Settings, comparisons: Sequence[Comparison]) -> list[Finding]:
    """The headline: operations with element-wise work, then of the matrices alone."""
    by = {c.column: c for c in comparisons if c.reference == "gpt-fp32" and c.subject == subject.name}
    if ALL_OPERATIONS not in by:
        return []
    w = subject.work
    matrices = w.synops / w.tokens
    everything = matrices + sum(w.elementwise.values()) / w.tokens
    kind = (
        "the body's matrices do binary accumulates"
        if w.spiking
        else "all matrices do multiply-accumulates on real numbers (no binary SynOps)"
    )
    beyond = ", beyond the context of training" if settings.window > settings.trained_context else ""
    mean = by[ALL_OPERATIONS].window_mean
    text = (
        f"{everything:,.0f} operations a token, element-wise work included, where a GPT of the same shape does "
        f"{figure(by[ALL_OPERATIONS].ratio)} times as many at context {settings.window:,}{beyond} ({settings.mode}; "
        f"{figure(mean or 0)} as a mean over the window); of the matrices alone {matrices:,.0f}, "
        f"{figure(by[OPERATIONS].ratio)} times; {kind}."
    )
    return [Finding(text=text, loses=by[ALL_OPERATIONS].ratio < 1, grade=by[ALL_OPERATIONS].grade)]


def against(c: Comparison) -> str:
    """One comparison as a clause: the reference costs so many times ours, in whose favour."""
    mean = f", {figure(c.window_mean)} as a mean over the window" if c.window_mean else ""
    return f"{c.reference} costs {times(c.ratio, c.low, c.high)} the energy of {c.subject}{mean}"


def verdicts(
    subject: Entry,
    settings: Settings,
    comparisons: Sequence[Comparison],
    quality: EqualQuality,
    limits: dict[str, float | None],
    totals: dict[str, float | None],
    unpriced: dict[str, dict[str, float]],
) -> dict[str, str]:
    """One paragraph a price column: losses first, then savings, break-even, and what the column leaves out."""
    found = {}
    for column in settings.columns:
        if (own := totals[column.name]) is None:
            continue
        parts = [
            (v.ratio, v.text)
            for v in quality.verdicts
            if v.row == subject.name and v.column == column.name and v.ratio is not None
        ]
        parts += [(c.ratio, against(c)) for c in comparisons if c.column == column.name and c.reference in RIVALS]
        losses = [text for ratio, text in parts if ratio < 1]
        gains = [text for ratio, text in parts if ratio >= 1]
        text = f"{subject.name} takes {own * 1e6:,.4g} uJ a token (modelled)"
        said = []
        if losses:
            said.append(
                "Spiking loses: " + "; ".join(losses) if subject.work.spiking else "It loses: " + "; ".join(losses)
            )
        said.append(text + ("; " + "; ".join(gains) if gains else "" if losses else _alone(column)))
        limit = limits.get(column.name)
        if subject.work.spiking and limit is not None:
            said.append(sentence(limit, subject.work.density))
        if left := unpriced.get(column.name):
            said.append("not priced here: " + ", ".join(left))
        found[column.name] = ". ".join(part[0].upper() + part[1:] if i else part for i, part in enumerate(said)) + "."
    return found


def _alone(column: Column) -> str:
    if column.precision == CHIP:
        return "; other technologies are not compared with, and no Transformer runs on this chip"
    return "; no other row is priced here to compare with"
