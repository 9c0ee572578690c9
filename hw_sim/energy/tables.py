"""The report's tables as plain cells, for every form that shows them."""

from typing import Any

from hw_sim.energy.front import figure
from hw_sim.energy.host import Spread
from hw_sim.energy.schema import Report, Row

Table = tuple[list[str], list[list[str]]]  # head, rows


def headline(report: Report) -> str:
    """The finding in a few sentences: losses at equal quality first, then operations, then quality."""
    losses = [f.text for f in report.findings if f.loses and f.column in (None, *HEADLINED)]
    operations = [f.text for f in report.findings if f.column is None and not f.loses][:1]
    return " ".join([*losses, *operations, f"Quality: {read(report)}."])


HEADLINED = ("operations", "all_operations", "45nm-memory-fp32", "45nm-memory-int8")


def read(report: Report) -> str:
    """The subject's bits per byte, how sure they are, and of which bytes."""
    row, text = report.subject, report.measurement["text"]
    if row.bits_per_byte is None:
        return "not measured"
    found = row.bits_per_byte_interval
    sure = "no interval: the text is too short"
    if found:
        sure = f"{found[0]:.3f} to {found[1]:.3f}, 95 %: +-{(found[1] - found[0]) / 2 / row.bits_per_byte:.1%}"
    part = f" ({text['bytes']:,} bytes from token {text['offset']:,}, sha256 {text['sha256'][:12]})" if text else ""
    return f"{row.bits_per_byte:.3f} bits per byte on this text (measured; {sure}){part}"


def chip_table(report: Report) -> Table:
    """Chips for spikes: dynamic and static energy of the int8 row, and what the chip lacks."""
    rows = [
        [c.column, c.row, c.prices_grade, f"{c.site.cores:,}", f"{c.site.chips:,}", microjoules(c.dynamic_j),
         microjoules(c.static_j), f"{c.tokens_per_s:,g}", microjoules(c.total_j), ", ".join(c.cannot_run),
         "; ".join(c.left_out)]
        for c in report.chips
    ]  # fmt: skip
    head = ["prices", "row", "prices are", "cores", "chips", "dynamic", "static", "at tokens/s", "total", "cannot run",
            "left out"]  # fmt: skip
    return head, rows


def compressor_table(report: Report) -> Table:
    """Classical compressors on the text that was read, for scale."""
    rows = [[c.name, c.settings, f"{c.alone:.3f}", number(c.after_training, ".3f")] for c in report.compressors]
    return ["compressor", "settings", "bits/byte, the part alone", "after the training part"], rows


def host_table(report: Report) -> Table:
    """What this machine took: median, and smallest to largest of the repetitions."""

    def cell(spread: Spread | None, unit: float) -> str:
        if spread is None:
            return "-"
        return f"{spread.median * unit:,.4g} ({spread.low * unit:,.4g} to {spread.high * unit:,.4g})"

    rows = [
        [w.name, cell(w.seconds, 1e6), cell(w.joules, 1e6), cell(w.net_joules, 1e6)]
        for w in (report.host.workloads if report.host else ())
    ]
    return ["run", "us a token", "uJ a token, all counters", "uJ a token, without the idle machine"], rows


def system_table(report: Report) -> Table:
    """Published figures, for context."""
    rows = [[s.system, s.network, s.figure, s.includes, s.grade, s.source] for s in report.systems]
    return ["system", "network", "figure", "includes", "grade", "source"], rows


def number(value: float | None, form: str = ",.0f") -> str:
    """A number, or that there is none."""
    return "-" if value is None else format(value, form)


def count_table(report: Report) -> Table:
    head = [
        "model", "counts are", "bits/byte (measured)", "dense", "MACs", "ACs (binary)", "graded", "element-wise",
        "neuron updates", "spikes", "messages", "hops",
    ]  # fmt: skip
    rows = [
        [
            r.name,
            r.counts,
            quality(r),
            *map(number, (r.dense, r.effective_macs, r.effective_acs, r.graded, sum(r.elementwise.values()),
                          r.neuron_updates, r.spikes, r.messages, r.hops)),
        ]
        for r in report.rows
    ]  # fmt: skip
    return head, rows


def quality(row: Row) -> str:
    """Bits per byte, or where they would have to come from."""
    if row.bits_per_byte is not None:
        found = row.bits_per_byte_interval
        return f"{row.bits_per_byte:.3f}" + (f" ({found[0]:.3f} to {found[1]:.3f})" if found else "")
    published = row.published_bits_per_character
    return f"published {published:.3f} bits/character, enwik8" if published else "not measured"


def assumption_table(report: Report) -> Table:
    """What rows take for granted."""
    rows = [[r.name, a.name, a.value, a.source] for r in report.rows for a in r.assumptions]
    rows += [[r.name, "note", note, ""] for r in report.rows for note in r.notes]
    return ["model", "assumed", "value", "source"], rows


def ratio_table(report: Report) -> Table:
    """Every comparison with the subject: nominal, and the range over the alternatives of the prices."""
    head = ["reference over this model", "in", "ratio", "lowest", "highest", "as a window mean", "grade"]
    rows = [
        [c.reference, c.column, figure(c.ratio), figure(c.low), figure(c.high),
         "-" if c.window_mean is None else figure(c.window_mean), c.grade]
        for c in report.comparisons
    ]  # fmt: skip
    return head, rows


def equal_quality_table(report: Report) -> Table:
    """What dense models of the subject's quality cost, over its own cost."""
    rows = [
        [v.row, v.column, "-" if v.ratio is None else ("at most " if v.bound else "") + figure(v.ratio),
         "-" if v.low is None or v.high is None else f"{figure(v.low)} to {figure(v.high)}", ", ".join(v.between)]
        for v in report.equal_quality.verdicts
    ]  # fmt: skip
    return ["model", "in", "dense model of equal quality costs, times", "range", "read off"], rows


def elementwise_table(report: Report) -> Table:
    kinds = list(report.rows[0].elementwise)
    return ["model", *kinds], [[r.name, *(number(r.elementwise[k]) for k in kinds)] for r in report.rows]


def bytes_table(report: Report) -> Table:
    """Bytes moved a token by level."""
    levels = list(next((moved for r in report.rows for moved in r.bytes.values()), {}))
    rows = [
        [r.name, precision, *(number(moved[level]) for level in levels)]
        for r in report.rows
        for precision, moved in r.bytes.items()
    ]
    return ["model", "precision", *levels], rows


def energy_table(report: Report) -> Table:
    names = [c.name for c in report.columns]
    rows = [[r.name, *(microjoules(r.energy_j[n]) for n in names)] for r in report.rows]
    return ["model", *names], rows


def microjoules(value: float | None) -> str:
    return "-" if value is None else f"{value * 1e6:,.3f}"


def unpriced_table(report: Report) -> Table:
    """What the subject's total leaves out, by column: counted, and without a price."""
    rows = [
        [column, ", ".join(f"{term} ({count:,.0f})" for term, count in left.items()) or "nothing that was counted"]
        for column, left in report.subject.unpriced.items()
    ]
    return ["column", "counted without a price, times a token"], rows


def matrix_table(report: Report) -> Table:
    columns = [c for c, limit in report.break_even.items() if limit is not None]
    head = ["matrix", "input (structure)", "zeros", "0 or 1", "whole", "density", "operations", "dense"]
    rows = []
    for m in report.matrices:
        seen = m["observed"] or {}
        rows.append(
            [
                m["name"],
                m["input"],
                *(number(seen.get(k), ".3f") for k in ("zeros", "binary", "integers")),
                f"{m['density']:.4f}",
                number(m["synops_per_token"]),
                number(m["dense_per_token"]),
                *(limit_cell(m, c) for c in columns),
            ]
        )
    return head + [f"r* {c}" for c in columns], rows


def limit_cell(matrix: dict[str, Any], column: str) -> str:
    """Break-even density and by what factor the measured one stays below it."""
    limit = matrix["break_even"][column]
    if limit is None or matrix["input"] != "spikes":
        return "-"
    return f"{limit:.3f} ({matrix['margin'][column]:.1f}x)" if column in matrix["margin"] else f"{limit:.3f}"


def profile_table(report: Report) -> Table:
    rows = [
        [name, p["grade"], p["source"], p["scope"], "; ".join(a["name"] for a in p["alternatives"]) or "-"]
        for name, p in report.profiles.items()
    ]
    return ["profile", "grade", "source", "scope", "alternatives that the ranges span"], rows


def footprint_table(report: Report) -> Table:
    rows = [
        [f["chip"], number(f["cores"]), number(f["chips"]), number(f["synapses"]), number(f["neurons"]),
         *(number(f[f"{what}_per_token"]) for what in ("messages", "hops", "graded_messages")), f["note"]]
        for f in report.footprint
    ]  # fmt: skip
    return ["chip", "cores", "chips", "synapses", "neurons", "spike messages", "hops", "graded messages", "note"], rows


def memory_table(report: Report) -> Table:
    rows = [[r.name, number(r.weight_words), number(r.state_words), number(r.kv_words)] for r in report.rows]
    return ["model", "weights, words", "constant state, words", "KV cache, words"], rows
