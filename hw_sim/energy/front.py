"""Equal quality: models in the plane of bits per byte and cost, and what dense models cost at our quality."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from hw_sim.energy import price
from hw_sim.energy.dense_models import DenseModels, shipped_sweeps
from hw_sim.energy.entries import Costs, Entry, prompt_of
from hw_sim.energy.schema import ALL_OPERATIONS, OPERATIONS, DensePoint, EqualCost, EqualQuality, Shape
from hw_sim.energy.settings import Settings
from hw_sim.energy.work import Work
from spikegpt.config import CONTINUOUS

HERE = "this report"
NONE_MEASURED = "no dense models of equal quality measured on this text"
Joules = dict[str, dict[str, float]]  # column -> alternative ("" for none) -> cost, in joules or operations
Costed = tuple[DensePoint, Joules]


def equal_quality(entries: Sequence[Entry], settings: Settings, priced: Mapping[str, Costs]) -> EqualQuality:
    """Judge every spiking row that was run against the dense models of the same text: those of the report and, where
    the text is theirs, the shipped ones.

    Quality is compared on the same first tokens: all that were read, or the most of them that the shipped ones know.
    """
    run = [e for e in entries if e.measurement and e.role in ("subject", "candidate")]
    if not run or run[0].measurement is None:
        return EqualQuality(available=False, reason="nothing was run")
    sweep, n = _sweep_of(run[0])
    tokens = n or len(run[0].measurement.tokens)
    found = [*_run_here(run, tokens, priced), *_trained(entries, tokens, priced)]
    if sweep:
        found += _shipped(sweep, str(n), [point for point, _ in found], settings)
    points, costs = [point for point, _ in found], {point.name: cost for point, cost in found}
    dense = [p for p in points if not p.spiking]
    columns = (OPERATIONS, ALL_OPERATIONS, *(c.name for c in settings.columns))
    fronts = {c: tuple(p.name for p in front(points, c)) for c in columns if any(c in p.cost for p in points)}
    if not dense:
        return EqualQuality(available=False, reason=NONE_MEASURED, tokens=tokens, points=tuple(points), fronts=fronts)
    verdicts = [
        verdict(p, front(dense, column), column, costs)
        for p in points
        if p.spiking
        for column in columns
        if column in p.cost and any(column in d.cost for d in dense)
    ]
    return EqualQuality(
        available=True, reason="", tokens=tokens, points=tuple(points), fronts=fronts, verdicts=tuple(verdicts)
    )


def _run_here(run: Sequence[Entry], tokens: int, priced: Mapping[str, Costs]) -> Iterator[Costed]:
    """The rows that were run on the text of the first."""
    text = run[0].measurement.text_sha256 if run[0].measurement else ""
    for e in run:
        if e.measurement and e.measurement.text_sha256 == text:
            quality = e.measurement.bits_per_byte_of(tokens)
            yield _point(e.name, e.work.spiking, HERE, e.shape, quality, _costs(e.work, priced[e.name]))


def _trained(entries: Sequence[Entry], tokens: int, priced: Mapping[str, Costs]) -> Iterator[Costed]:
    """Transformers that were trained and scored on so many tokens."""
    for e in entries:
        if e.quality and e.quality.tokens == tokens:
            yield _point(e.name, False, HERE, e.shape, e.quality.bits_per_byte, _costs(e.work, priced[e.name]))


def _shipped(sweep: DenseModels, n: str, known: Sequence[DensePoint], settings: Settings) -> Iterator[Costed]:
    """The shipped models without spikes, but for those that were run here and are `known`."""
    for model in sweep.models:
        quality = model.bits_per_byte[n]
        here = any(p.shape == model.shape and abs(p.bits_per_byte - quality) < 1e-4 for p in known)
        if model.variant == CONTINUOUS and not here:
            work = model.work(prompt_of(settings))
            costs = _costs(work, price.costs(work, settings))
            yield _point(model.name, False, f"shipped data: {sweep.text}", model.shape, quality, costs)


def _sweep_of(entry: Entry) -> tuple[DenseModels | None, int]:
    """The shipped models that were scored on the very text a row was run on, and on how many of its tokens."""
    m = entry.measurement
    assert m is not None
    for sweep in shipped_sweeps():
        n = sweep.longest_prefix(len(m.tokens))
        if n and hashlib.sha256(m.tokenizer.decode(m.tokens[:n])).hexdigest() == sweep.prefixes[str(n)]:
            return sweep, n
    return None, 0


def _costs(work: Work, priced: Costs) -> Joules:
    synops = work.synops / work.tokens
    found = {OPERATIONS: {"": synops}, ALL_OPERATIONS: {"": synops + sum(work.elementwise.values()) / work.tokens}}
    return found | {column: {a: e.total_j for a, e in energies.items()} for column, energies in priced.items()}


def _point(name: str, spiking: bool, source: str, shape: Shape, quality: float, costs: Joules) -> Costed:
    point = DensePoint(name=name, spiking=spiking, source=source, shape=shape, bits_per_byte=quality,
                       cost={k: v[""] for k, v in costs.items()})  # fmt: skip
    return point, costs


def front(points: Sequence[DensePoint], column: str) -> list[DensePoint]:
    """The points that no other beats in quality and cost, from the cheapest to the best."""
    found: list[DensePoint] = []
    priced = [p for p in points if column in p.cost]
    for p in sorted(priced, key=lambda p: (p.cost[column], p.bits_per_byte)):
        if not found or p.bits_per_byte < found[-1].bits_per_byte:
            found.append(p)
    return found


def verdict(ours: DensePoint, dense: Sequence[DensePoint], column: str, costs: dict[str, Joules]) -> EqualCost:
    """What the cheapest dense model of our quality costs, over ours: along the front, log cost linear in bits per byte.

    A front that ends at a worse quality than ours has no such model; where even its cheapest model is better than ours,
    that one's cost bounds it from above. `dense` is a front, `costs` are by name of a point.
    """
    where = f"at the quality of {ours.name} ({ours.bits_per_byte:.3f} bits per byte)"
    cheapest, best = dense[0], dense[-1]
    if best.bits_per_byte > ours.bits_per_byte:
        text = f"{where} no dense model was measured: the best, {best.name}, has {best.bits_per_byte:.3f}"
        return EqualCost(row=ours.name, column=column, between=(best.name,), text=text)
    between: tuple[DensePoint, ...]
    if bound := cheapest.bits_per_byte <= ours.bits_per_byte:
        between, cost = (cheapest,), costs[cheapest.name][column]
        who = f"or better the cheapest non-spiking model, {cheapest.name} ({cheapest.bits_per_byte:.3f}), costs"
    else:
        between = next((a, b) for a, b in pairwise(dense) if b.bits_per_byte <= ours.bits_per_byte)
        worse, better = between
        along = (worse.bits_per_byte - ours.bits_per_byte) / (worse.bits_per_byte - better.bits_per_byte)
        cost = interpolated(costs[worse.name][column], costs[better.name][column], along)
        who = "the cheapest non-spiking model costs"
    own = costs[ours.name][column]
    ratios = {name: cost[name] / own[name] for name in own if name in cost}
    found = ratios[""], min(ratios.values()), max(ratios.values())
    ends = "" if bound else f" (between {_named(between[0])} and {_named(between[-1])})"
    return EqualCost(
        row=ours.name,
        column=column,
        ratio=found[0],
        low=found[1],
        high=found[2],
        bound=bound,
        between=tuple(p.name for p in between),
        text=f"{where} {who} {times(*found)} ours{ends}",
    )


def interpolated(a: dict[str, float], b: dict[str, float], along: float) -> dict[str, float]:
    """Costs a share of the way from a to b, in logarithms."""
    return {name: math.exp((1 - along) * math.log(a[name]) + along * math.log(b[name])) for name in a if name in b}


def _named(point: DensePoint) -> str:
    return f"{point.name} at {point.bits_per_byte:.3f}"


def times(ratio: float, low: float, high: float) -> str:
    """A ratio with its range, in words: "0.48 times (0.31 to 0.66)"."""
    shown = f"{figure(ratio)} times"
    return shown if figure(low) == figure(high) else f"{shown} ({figure(low)} to {figure(high)})"


def figure(ratio: float) -> str:
    """Two figures, or three from 100 on."""
    return f"{ratio:.0f}" if ratio >= 99.5 else f"{ratio:.2g}"
