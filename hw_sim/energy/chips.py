"""What a network takes on a chip: the row that could be placed, all chips' static power in the total, what is left out.

The dynamic part is the body alone (matrices that read spikes, LIF neurons, messages and hops of a mapping). Everything
else that the network does is named beside the total, with its share.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from hw_sim.energy.placement import Placement

TOKENS_PER_S = 1000.0  # assumed where nobody says: static power is time, and no chip has run this network
STATIC = "static power"  # the term's name
COMPONENTS = {  # of element-wise work, as rows name them
    "layer_norm": "LayerNorm",
    "wkv": "WKV",
    "sigmoid": "sigmoid",
    "gate": "gates (products)",
    "squared_relu": "squared ReLU",
}


class Words(NamedTuple):
    """How a network's unit of work is spoken of: itself, many of them in a row, one by one, matrices that read no
    spikes, and sums, scales and the like."""

    unit: str
    known: str
    alone: str
    dense: str
    mixing: str


TOKEN = Words("token", "a known text, a token a step", "a text being written, one token at a time",
              "head, {:,.0f} MACs", "token shift and residual")  # fmt: skip
STEP = Words("step", "inputs, a step of theirs at each of the chip's", "one step of the inputs at a time",
             "matrices behind pools or real numbers, {:,.0f} operations", "scales, biases and pools")  # fmt: skip


class Core(Struct, frozen=True, kw_only=True):
    """A core at (x, y) on the grid of all cores: seconds of work at a mean step, spike messages a token, and what it
    holds."""

    core: int
    x: int
    y: int
    busy_s: float
    sent: float
    taken: float
    holds: str


class Link(Struct, frozen=True, kw_only=True):
    """Spike messages a token from one tile to its neighbour: x, y of the first, then of the second."""

    tiles: tuple[int, int, int, int]
    messages: float


class Picture(Struct, frozen=True, kw_only=True):
    """A mapping as drawn; a tile is `side` x `side` cores."""

    side: int
    cores: tuple[Core, ...]
    links: tuple[Link, ...]


class Site(Struct, frozen=True, kw_only=True):
    """Where the network lies on a technology's chips. `placement` None: nothing was mapped, `chips` were estimated from
    the shape; `graded_values` whether its messages can carry a value."""

    technology: str
    chip: str
    how: str  # "placed by our mapper", "as declared by --placement", "at least, from the shape"
    cores: int
    chips: int
    graded_values: bool
    placement: Placement | None = None
    picture: Picture | None = None

    @classmethod
    def unknown(cls, technology: str) -> "Site":
        """A technology that nobody mapped the network to."""
        return cls(technology=technology, chip=technology, how="nothing was mapped to it, its chips are not known",
                   cores=0, chips=0, graded_values=True)  # fmt: skip


class Pace(Struct, frozen=True, kw_only=True):
    """The fastest that a network goes on a chip by published times of its events, in a way of being used: tokens a
    second, seconds from a token to its logits, joules a token at that rate (`static_j` None: no power is known), and
    those joules times that latency."""

    how: str
    tokens_per_s: float
    latency_s: float
    static_j: float | None
    total_j: float
    energy_delay_js: float


class ChipColumn(Struct, frozen=True, kw_only=True):
    """One chip's price of a network, joules a token: `total_j` = `dynamic_j` + `static_j`, the second None where the
    profile has no static power, at `tokens_per_s`, which is assumed. `paces` are modelled, of one chip's times: what it
    can do at most. `left_out` are sentences, `text` the verdict."""

    column: str
    row: str
    grade: Literal["modelled"] = "modelled"
    prices_grade: str
    site: Site
    tokens_per_s: float
    dynamic_j: float
    static_j: float | None
    total_j: float
    terms: dict[str, float]
    cannot_run: tuple[str, ...]
    left_out: tuple[str, ...]
    text: str
    paces: tuple[Pace, ...] = ()


def static_power(w_per_chip: float, site: Site, tokens_per_s: float) -> dict[str, float]:
    """The term of static power of all chips, joules a token; none where no power is known."""
    return {STATIC: w_per_chip * site.chips / tokens_per_s} if w_per_chip and site.chips else {}


class RowCounts(Struct, frozen=True, kw_only=True):
    """Of a row, per token or step: what `left_out` is told from."""

    synops: float
    all_operations: float
    multiply_accumulates: float  # on what is not spikes
    elementwise: Mapping[str, float]  # operations by component; "neurons" are what the chip does itself


def chip_column(
    column: str,
    row: str,
    prices_grade: str,
    site: Site,
    terms: Mapping[str, float],
    static_w_per_chip: float,
    counts: RowCounts,
    tokens_per_s: float = TOKENS_PER_S,
    words: Words = TOKEN,
) -> ChipColumn:
    """The chip's price of a row whose terms, joules a token or step, are `terms`, STATIC among them if it is known."""
    static = terms.get(STATIC)
    moving = sum(v for k, v in terms.items() if k != STATIC)
    cannot = tuple(
        words.mixing if name == "mixing" else COMPONENTS.get(name, name)
        for name in counts.elementwise
        if name != "neurons"
    )
    left = _left_out(site, counts, terms, words)
    total = moving + (static or 0.0)
    paces = _paces(site, moving, static_w_per_chip, words)
    text = (
        f"{row}, its body alone: {total * 1e6:,.4g} µJ a {words.unit} (modelled, prices {prices_grade}), "
        f"{moving * 1e6:,.4g} dynamic"
        + (
            f" and {static * 1e6:,.4g} static ({site.chips} chip(s) of {static_w_per_chip * 1e3:g} mW at an assumed "
            f"{tokens_per_s:,g} {words.unit}s/s)"
            if static is not None
            else ", no static power"
        )
        + f"; {_where(site)}. {_fast(site, paces, words.unit)}{_runs(site, cannot)}Left out of the total: "
        f"{'; '.join(left)}. Other technologies are not compared with"
    )
    return ChipColumn(
        column=column,
        row=row,
        prices_grade=prices_grade,
        site=site,
        tokens_per_s=tokens_per_s,
        dynamic_j=moving,
        static_j=static,
        total_j=total,
        terms=dict(terms),
        cannot_run=cannot,
        left_out=left,
        text=text,
        paces=paces,
    )


def _paces(site: Site, dynamic_j: float, static_w_per_chip: float, words: Words) -> tuple[Pace, ...]:
    """Work that is known and work that waits for the last, where the mapping says how long a step takes."""
    speed = site.placement.speed if site.placement else None
    if speed is None:
        return ()
    found = []
    for how, rate, latency in (
        (words.known, speed.tokens_per_s, speed.steps_per_token * speed.step_s),
        (words.alone, speed.tokens_per_s_alone, speed.latency_s),
    ):
        static = static_power(static_w_per_chip, site, rate).get(STATIC)
        total = dynamic_j + (static or 0.0)
        found.append(Pace(how=how, tokens_per_s=rate, latency_s=latency, static_j=static, total_j=total,
                          energy_delay_js=total * latency))  # fmt: skip
    return tuple(found)


def _fast(site: Site, paces: tuple[Pace, ...], unit: str) -> str:
    if not paces:
        return f"How long {site.chip} takes is not known. "
    return "At most " + ", ".join(f"{p.tokens_per_s:,.0f} {unit}s/s of {p.how}" for p in paces) + " (modelled). "


def _where(site: Site) -> str:
    return f"{site.cores:,} cores on {site.chips} chip(s), {site.how}" if site.cores else site.how


def _runs(site: Site, cannot: tuple[str, ...]) -> str:
    """What the chip cannot do by itself."""
    if not cannot:
        return ""
    need = (
        "need custom neurons (microcode)"
        if site.graded_values
        else "cannot run there as they are: its neurons are fixed"
    )
    values = "" if site.graded_values else ", and its messages carry no values"
    return f"{site.chip} does not run this network by itself: {', '.join(cannot)} {need}{values}. "


def _left_out(site: Site, counts: RowCounts, terms: Mapping[str, float], words: Words) -> tuple[str, ...]:
    """What the network does and the total does not hold, each with its size."""
    found = []
    if counts.multiply_accumulates:
        share = counts.multiply_accumulates / counts.synops
        found.append(f"{words.dense.format(counts.multiply_accumulates)} ({share:.0%} of the matrices' operations)")
    outside = sum(v for k, v in counts.elementwise.items() if k != "neurons")
    if outside:
        found.append(f"element-wise work, {outside:,.0f} operations ({outside / counts.all_operations:.0%} of all)")
    if words is TOKEN:
        found.append("embedding")
    p = site.placement
    if p is None:
        found.append("messages and hops, as nothing was mapped")
    elif p.graded_messages_per_token is None:
        found.append("graded values between neurons, which the mapping did not count")
    else:
        unable = "" if site.graded_values else ", which this chip cannot send"
        found.append(
            f"{p.graded_messages_per_token:,.0f} graded values between neurons{unable}, beside "
            f"{p.messages_per_token:,.0f} spike messages"
        )
        found.append(f"{p.host_values_per_token:,.0f} values from and to the host")
    if p is not None and p.messages_per_token and "messages" not in terms:
        found.append("the energy of a spike message, which these prices do not hold")
    if STATIC not in terms:
        found.append("static power, which these prices do not hold")
    return tuple(found)
