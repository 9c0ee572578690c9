"""The report's tables as plain cells, for every form that shows them."""

Table = tuple[list[str], list[list[str]]]  # head, rows


def headline(report: dict) -> str:
    """The finding in one sentence."""
    ratio = report["ratios"]["gpt-fp32"]["operations"]
    row = next(r for r in report["rows"] if r["name"] == report["model"]["row"])
    kind = "binary accumulates" if row["effective_acs"] else "multiply-accumulates on real numbers (no binary SynOps)"
    known = row["bits_per_byte"] is not None
    quality = f"{row['bits_per_byte']:.3f} bits per byte on this text" if known else "not measured"
    return (
        f"{row['synops']:,.0f} operations a token where a GPT of the same shape does {ratio:.1f} times as many; the "
        f"body's are {kind}. Quality: {quality}."
    )


def number(value: float | None, form: str = ",.0f") -> str:
    """A number, or that there is none."""
    return "-" if value is None else format(value, form)


def count_table(report: dict) -> Table:
    head = [
        "model", "counts", "bits/byte", "dense", "MACs", "ACs (binary)", "graded", "neuron updates", "spikes",
        "messages", "hops",
    ]  # fmt: skip
    rows = [
        [
            r["name"],
            r["counts"],
            quality(r),
            *(number(r[k]) for k in ("dense", "effective_macs", "effective_acs", "graded", "neuron_updates", "spikes")),
            *(number(r[k]) for k in ("messages", "hops")),
        ]
        for r in report["rows"]
    ]
    return head, rows


def quality(row: dict) -> str:
    """Bits per byte, or where they would have to come from."""
    if row["bits_per_byte"] is not None:
        return f"{row['bits_per_byte']:.3f}"
    published = row.get("published_bits_per_character")
    return f"published {published:.3f} bits/character, enwik8" if published else "not measured"


def elementwise_table(report: dict) -> Table:
    kinds = list(report["rows"][0]["elementwise"])
    return ["model", *kinds], [[r["name"], *(number(r["elementwise"][k]) for k in kinds)] for r in report["rows"]]


def bytes_table(report: dict) -> Table:
    """Bytes moved a token by level, at the row's own first precision."""
    levels = list(next(iter(report["rows"][0]["bytes"].values())))
    rows = []
    for r in report["rows"]:
        for precision, moved in r["bytes"].items():
            rows.append([r["name"], precision, *(number(moved[level]) for level in levels)])
    return ["model", "precision", *levels], rows


def energy_table(report: dict) -> Table:
    names = list(report["rows"][0]["energy_j"])
    rows = [[r["name"], *(microjoules(r["energy_j"][n]) for n in names)] for r in report["rows"]]
    return ["model", *names], rows


def microjoules(value: float | None) -> str:
    return "-" if value is None else f"{value * 1e6:,.3f}"


def matrix_table(report: dict) -> Table:
    columns = [c for c, limit in report["break_even"].items() if limit is not None]
    head = ["matrix", "input (structure)", "zeros", "0 or 1", "whole", "density", "operations", "dense"]
    rows = []
    for m in report["matrices"]:
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


def limit_cell(matrix: dict, column: str) -> str:
    """Break-even density and by what factor the measured one stays below it."""
    limit = matrix["break_even"][column]
    if limit is None or matrix["input"] != "spikes":
        return "-"
    return f"{limit:.3f} ({matrix['margin'][column]:.1f}x)" if column in matrix["margin"] else f"{limit:.3f}"


def profile_table(report: dict) -> Table:
    rows = [
        [name, p["grade"], p["source"], p["scope"], ", ".join(p["unpriced"])] for name, p in report["profiles"].items()
    ]
    return ["profile", "grade", "source", "scope", "leaves unpriced"], rows


def footprint_table(report: dict) -> Table:
    rows = [
        [f["chip"], number(f["cores"]), number(f["chips"]), number(f["synapses"]), number(f["neurons"]),
         number(f["messages_per_token"]), number(f["hops_per_token"]), f["note"]]
        for f in report["footprint"]
    ]  # fmt: skip
    return ["chip", "cores", "chips", "synapses", "neurons", "messages", "hops", "note"], rows


def memory_table(report: dict) -> Table:
    rows = [
        [r["name"], number(r["weight_words"]), number(r["state_words"]), number(r["kv_words"])] for r in report["rows"]
    ]
    return ["model", "weights, words", "constant state, words", "KV cache, words"], rows
