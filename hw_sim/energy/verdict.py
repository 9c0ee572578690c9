"""The report in sentences: where spiking loses first, then what it saves, with the range that the prices leave."""

from collections.abc import Mapping, Sequence

from hw_sim.energy.break_even import sentence
from hw_sim.energy.entries import Entry
from hw_sim.energy.front import figure, times
from hw_sim.energy.schema import ALL_OPERATIONS, CHIP, OPERATIONS, Column, Comparison, EqualQuality, Finding, Row
from hw_sim.energy.settings import Settings

Part = tuple[float, float, str]  # ratio, its lowest value, the clause that says it


def findings(
    entries: Sequence[Entry], settings: Settings, comparisons: Sequence[Comparison], quality: EqualQuality
) -> list[Finding]:
    """All sentences: a dead model, then losses, then the operations, then what is saved."""
    subject = next(e for e in entries if e.role == "subject")
    found = dead(subject)
    found += [
        Finding(text=f"{v.column}: {v.text}.", loses=_below_one(v.ratio), grade="modelled", column=v.column)
        for v in quality.verdicts
        if v.row == subject.name
    ]
    if not found or not found[0].loses or subject.work.acs:
        rivals = _rivals(entries)
        found += [
            Finding(text=f"{c.column}: {against(c)}.", loses=c.ratio < 1, grade=c.grade, column=c.column)
            for c in comparisons
            if c.reference in rivals and c.column not in (OPERATIONS, ALL_OPERATIONS)
        ]
    losses, others = [f for f in found if f.loses], [f for f in found if not f.loses]
    missing = (
        [] if quality.available else [Finding(text=f"Equal quality: {quality.reason}.", loses=False, grade="measured")]
    )
    return [*losses, *operations(subject, settings, comparisons), *beside(subject, entries), *others, *missing]


def _below_one(ratio: float | None) -> bool:
    return ratio is not None and ratio < 1


def _rivals(entries: Sequence[Entry]) -> set[str]:
    """Rows that verdicts compare with: all but analytic ones, our own and its int8 form."""
    return {e.name for e in entries if e.role not in ("subject", "int8", "analytic")}


def dead(subject: Entry) -> list[Finding]:
    """That nothing reaches the matrices, if so."""
    w = subject.work
    if not w.spiking or w.acs:
        return []
    text = f"{subject.name} is dead: density 0, no spike reaches a matrix, and no saving is claimed for it."
    return [Finding(text=text, loses=True, grade="counted" if w.counted else "assumed")]


def operations(subject: Entry, settings: Settings, comparisons: Sequence[Comparison]) -> list[Finding]:
    """The headline: operations with element-wise work, then of the matrices alone, against a Transformer's."""
    by = {c.column: c for c in comparisons if c.reference == "gpt-fp32"}
    if not {ALL_OPERATIONS, OPERATIONS} <= by.keys():  # a model no matrix of which does anything has no ratio
        return []
    w = subject.work
    matrices, elementwise = w.synops / w.tokens, sum(w.elementwise.values()) / w.tokens
    kind = "binary accumulates" if w.spiking else "multiply-accumulates on real numbers (no binary SynOps)"
    beyond = " (beyond the context of training)" if settings.window > settings.trained_context else ""
    everything, alone = by[ALL_OPERATIONS], by[OPERATIONS]
    text = (
        f"{matrices + elementwise:,.0f} operations a token, element-wise work included; a GPT of the same shape does "
        f"{figure(everything.ratio)} times as many at context {settings.window:,}{beyond}"
        f"{_mean(everything)}. Of the matrices alone {matrices:,.0f} and {figure(alone.ratio)} times"
        f"{_mean(alone)}; those of the body are {kind}."
    )
    return [Finding(text=text, loses=everything.ratio < 1, grade=everything.grade)]


def _mean(c: Comparison) -> str:
    return f", {figure(c.window_mean)} times as a mean over the window" if c.window_mean else ""


def beside(subject: Entry, entries: Sequence[Entry]) -> list[Finding]:
    """The other models that were run, against the first: quality and operations."""
    own, found = subject.measurement, []
    for e in entries:
        m = e.measurement
        if own is None or m is None or e.role != "candidate" or m.text_sha256 != own.text_sha256:
            continue
        work = e.work.synops / e.work.tokens / (subject.work.synops / subject.work.tokens or 1) - 1
        bits = m.bits_per_byte / own.bits_per_byte - 1
        text = f"{e.name} against {subject.name}: {bits:+.1%} bits per byte, {work:+.1%} matrix operations."
        found.append(Finding(text=text, loses=False, grade="measured"))
    return found


def against(c: Comparison) -> str:
    """One comparison as a clause: the reference costs so many times ours, in whose favour."""
    return f"{c.reference} costs {times(c.ratio, c.low, c.high)} the energy of {c.subject}{_mean(c)}"


def verdicts(
    entries: Sequence[Entry],
    settings: Settings,
    comparisons: Sequence[Comparison],
    quality: EqualQuality,
    limits: Mapping[str, float | None],
    row: Row,
) -> dict[str, str]:
    """One paragraph a price column: losses first, then savings, break-even, and what the column leaves out."""
    subject = next(e for e in entries if e.role == "subject")
    rivals, found = _rivals(entries), {}
    for column in settings.columns:
        own = row.energy_j[column.name]
        if own is None:
            continue
        parts: list[Part] = [
            (v.ratio, v.low or v.ratio, v.text)
            for v in quality.verdicts
            if v.row == subject.name and v.column == column.name and v.ratio is not None
        ]
        parts += [
            (c.ratio, c.low, against(c)) for c in comparisons if c.column == column.name and c.reference in rivals
        ]
        said = [f.text.rstrip(".") for f in dead(subject)] or judged(subject, column, parts)
        said.append(f"{subject.name} takes {own * 1e6:,.4g} µJ a token (modelled)")
        limit = limits.get(column.name)
        if subject.work.acs and limit is not None:
            said.append(sentence(limit, subject.work.density))
        if left := row.unpriced.get(column.name):
            said.append("not priced here: " + ", ".join(left))
        found[column.name] = ". ".join(part[0].upper() + part[1:] for part in said) + "."
    return found


def judged(subject: Entry, column: Column, parts: Sequence[Part]) -> list[str]:
    """Losses, what the assumptions leave open, and savings, in this order."""
    own = "spiking" if subject.work.spiking else "it"
    groups = (
        (f"{own} loses", [text for ratio, _, text in parts if ratio < 1]),
        ("undecided", [text for ratio, low, text in parts if low < 1 <= ratio]),
        (f"{own} saves", [text for ratio, low, text in parts if ratio >= 1 and low >= 1]),
    )
    said = [f"{head}: {'; '.join(texts)}" for head, texts in groups if texts]
    if said:
        return said
    if column.precision == CHIP:
        return ["no other technology is compared with, and no Transformer runs on this chip"]
    return ["no other row is priced here to compare with"]
