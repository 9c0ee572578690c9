"""The report as one self-contained HTML page: summary first, two plots, tables, provenance; no network."""

import html
import io
import json
from collections import defaultdict

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"  # Okabe and Ito: safe for colour-blind readers
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:1rem;color:#1a1a1a}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;font-size:.85rem}
td,th{padding:.3rem .5rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left}.scroll{overflow-x:auto}
svg{max-width:100%;height:auto}.note{color:#555;font-size:.85rem}code{overflow-wrap:anywhere}
@media print{body{max-width:none}h2{break-after:avoid}table{break-inside:avoid}}
"""


def page(report: dict) -> str:
    """Render a report dictionary (see `report.build`)."""
    model, measurement = report["model"], report["measurement"]
    title = f"Energy of a {model['variant']} SpikeGPT, {model['n_layer']} layers of width {model['d']}"
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{html.escape(headline(report))}</p>",
        "<ul>" + "".join(f"<li><b>{k}</b>: {html.escape(v)}</li>" for k, v in report["verdicts"].items()) + "</ul>",
        f"<p class=note>Measured on {measurement['tokens']:,} tokens of "
        f"{html.escape(str(report['provenance'].get('text', 'unnamed text')))}; the Transformer decodes at context "
        f"{measurement['context']:,}; batch {measurement['batch']}. All numbers are per token.</p>",
        "<h2>Where the operations are</h2>" + synops_plot(report),
        "<h2>Energy against context length</h2>" + context_plot(report),
        "<h2>Counts</h2>" + count_table(report),
        "<h2>Energy, microjoules a token</h2>" + energy_table(report),
        "<h2>Matrix inputs</h2>" + matrix_table(report),
        "<h2>Prices, their sources and what they leave out</h2>" + profile_list(report),
        "<h2>The paper's own accounting</h2>" + paper_section(report),
        "<h2>Provenance</h2><pre class=scroll>" + html.escape(json.dumps(report["provenance"], indent=1)) + "</pre>",
    ]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def headline(report: dict) -> str:
    """The finding in one sentence."""
    ratio = report["ratios"]["gpt-fp32"]["operations"]
    row = next(r for r in report["rows"] if r["name"] == report["model"]["variant"])
    kind = "binary accumulates" if row["effective_acs"] else "multiply-accumulates on real numbers (no binary SynOps)"
    return (
        f"{row['synops']:,.0f} operations a token where a GPT of the same shape does {ratio:.1f} times as many; the "
        f"body's are {kind}. Quality: {row['bits_per_byte']:.3f} bits per byte on this text."
    )


def synops_plot(report: dict) -> str:
    """Stacked bars: operations a token by layer and part."""
    layers: dict[str, dict[str, float]] = defaultdict(dict)
    for m in report["matrices"]:
        layer, _, part = m["name"].partition("_")
        layers[layer][part or "head"] = m["synops_per_token"]
    parts = list(dict.fromkeys(p for values in layers.values() for p in values))
    figure, axes = plt.subplots(figsize=(8, 4))
    for color, part in zip((*PALETTE, GREY), parts, strict=False):
        bottoms = [sum(v.get(p, 0) for p in parts[: parts.index(part)]) for v in layers.values()]
        axes.bar(list(layers), [v.get(part, 0) / 1e3 for v in layers.values()], bottom=[b / 1e3 for b in bottoms],
                 label=part.replace("_", " "), color=color)  # fmt: skip
    dense = sum(m["dense_per_token"] for m in report["matrices"])
    done = sum(m["synops_per_token"] for m in report["matrices"])
    axes.set_title(f"{done / dense:.1%} of the dense operations are done")
    axes.set_ylabel("thousand operations a token")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return as_svg(figure)


def context_plot(report: dict) -> str:
    """Energy a token against context, ours and the Transformer's, one panel a technology."""
    curve = report["context_curve"]
    shown = [c for c in ("45nm-compute-fp32", "45nm-memory-fp32") if c in curve["gpt_j"]]
    figure, panels = plt.subplots(1, len(shown), figsize=(9, 4), squeeze=False)
    for axes, column in zip(panels[0], shown, strict=True):
        gpt = [j * 1e6 for j in curve["gpt_j"][column]]
        ours = curve["ours_j"][column] * 1e6
        axes.loglog(curve["context"], gpt, color=ORANGE, marker="o", markersize=3, label="GPT, same shape, float32")
        axes.axhline(ours, color=BLUE, label=f"{report['model']['variant']}, measured")
        axes.set(xlabel="context, tokens", ylabel="microjoules a token")
        axes.set_title(
            f"{column}\n{gpt[0] / ours:.1f}x at context 1, {gpt[-1] / ours:.0f}x at {curve['context'][-1]}", fontsize=10
        )
        axes.legend(fontsize=8)
    return as_svg(figure)


def as_svg(figure: Figure) -> str:
    """A figure as inline SVG; the same bytes every time."""
    figure.tight_layout()
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "spikegpt"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def count_table(report: dict) -> str:
    head = ["model", "counts", "bits/byte", "dense", "MACs", "ACs (binary)", "element-wise", "neuron updates", "spikes"]
    rows = [
        [
            r["name"],
            r["counts"],
            f"{r['bits_per_byte']:.3f}" if r["bits_per_byte"] is not None else "not measured",
            *(f"{r[k]:,.0f}" for k in ("dense", "effective_macs", "effective_acs")),
            f"{sum(r['elementwise'].values()):,.0f}",
            f"{r['neuron_updates']:,.0f}",
            "unknown" if r["spikes"] is None else f"{r['spikes']:,.0f}",
        ]
        for r in report["rows"]
    ]
    return table(head, rows)


def energy_table(report: dict) -> str:
    names = list(report["rows"][0]["energy_j"])
    rows = [
        [r["name"], *("-" if r["energy_j"][n] is None else f"{r['energy_j'][n] * 1e6:,.2f}" for n in names)]
        for r in report["rows"]
    ]
    note = (
        "<p class=note>Every total is partial: see below what each profile leaves unpriced. "
        "Columns of different technologies are never to be divided by each other.</p>"
    )
    return table(["model", *names], rows) + note


def matrix_table(report: dict) -> str:
    head = ["matrix", "input", "density", "operations a token", "dense"]
    rows = [
        [m["name"], m["input"], f"{m['density']:.4f}", f"{m['synops_per_token']:,.0f}", f"{m['dense_per_token']:,}"]
        for m in report["matrices"]
    ]
    return table(head, rows)


def profile_list(report: dict) -> str:
    items = []
    for name, p in report["profiles"].items():
        even = ", ".join(f"{k} {v:.2f}" for k, v in p["break_even_density"].items() if v is not None)
        items.append(
            f"<li><b>{name}</b> ({p['grade']}): {html.escape(p['title'])}. Scope: {html.escape(p['scope'])}. Unpriced: "
            f"{', '.join(p['unpriced'])}. {'Break-even density: ' + even + '. ' if even else ''}"
            f"Source: {html.escape(p['source'])}</li>"
        )
    return f"<ul>{''.join(items)}</ul>"


def paper_section(report: dict) -> str:
    paper = report["paper_accounting"]
    return (
        f"<p>At T = {paper['context']}, d = {paper['d']}, rate {paper['rate']}: {paper['ratio']:.2f}x (grade: "
        f"{paper['grade']}). Why it differs from the measured rows: {html.escape(paper['why_it_differs'])}</p>"
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<div class=scroll><table><tr>{top}</tr>{body}</table></div>"
