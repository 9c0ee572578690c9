"""The report as one self-contained HTML page: summary first, a switch between prices, plots, tables; no network."""

import html
import json

from hw_sim.energy import plots, tables
from hw_sim.energy.method import METHOD
from hw_sim.energy.schema import Report
from hw_sim.energy.tables import Table

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:1rem;color:#1a1a1a}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;font-size:.85rem}
td,th{padding:.3rem .5rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left}.scroll{overflow-x:auto}.wrap td{white-space:normal;text-align:left}
select{font:inherit;margin-right:1rem}#verdict{font-weight:600}
svg{max-width:100%;height:auto}.note{color:#555;font-size:.85rem}code{overflow-wrap:anywhere}
@media print{body{max-width:none}h2{break-after:avoid}table{break-inside:avoid}select{border:none}}
"""
# Chooses a price column (also by the address: report.html#45nm-memory-int8) and fills the table from the report's data.
SCRIPT = """
const report = JSON.parse(document.getElementById('data').textContent);
const profile = document.getElementById('profile'), precision = document.getElementById('precision');
const columnOf = (p, q) => q === 'chip' ? p : p + '-' + q;
function offer() {
  const wanted = precision.value;
  precision.replaceChildren(...report.choices[profile.value].map(q => new Option(q, q)));
  if (report.choices[profile.value].includes(wanted)) precision.value = wanted;
}
function show() {
  const column = columnOf(profile.value, precision.value);
  document.querySelectorAll('#prices tbody tr').forEach((tr, i) => {
    const row = report.rows[i], energy = row.energy_j[column];
    const over = name => {
      const own = report.references[column][name];
      const other = own ? report.rows.find(r => r.name === name).energy_j[own] : null;
      return energy && other ? (other / energy).toFixed(2) + 'x' : '-';
    };
    const cells = [energy === null ? '-' : (energy * 1e6).toFixed(3), over('gpt-fp32'), over('gpt-int8'),
      over('continuous'), (row.unpriced[column] || []).join(', ') || '-'];
    cells.forEach((text, j) => { tr.cells[j + 1].textContent = text; });
  });
  document.getElementById('verdict').textContent = report.verdicts[column] || 'No other row is priced by this profile.';
  document.getElementById('column').textContent = column;
}
function go() {
  const column = decodeURIComponent(location.hash.slice(1));
  for (const p in report.choices) for (const q of report.choices[p])
    if (columnOf(p, q) === column) { profile.value = p; offer(); precision.value = q; }
  show();
}
profile.addEventListener('change', () => { offer(); show(); });
precision.addEventListener('change', show);
addEventListener('hashchange', go);
offer(); go();
"""


def page(report: Report) -> str:
    """Render a report."""
    model, measurement = report.model, report.measurement
    title = f"Energy of a {model['variant']} SpikeGPT, {model['n_layer']} layers of width {model['d']}"
    source = (
        f"Counted on {measurement['tokens']:,} tokens of {report.provenance.get('text', 'unnamed text')}; energies are "
        "modelled: counts times prices"
        if measurement["measured"]
        else "Nothing was counted: densities are assumed"
    )
    footprint = table(tables.footprint_table(report)) if report.footprint else ""
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{html.escape(tables.headline(report))}</p>",
        switch(report),
        f"<p class=note>{html.escape(source)}; the Transformer's token: {measurement['mode']} at context "
        f"{measurement['context']:,}; batch {measurement['batch']}. All numbers are per token.</p>",
        "<h2>Where the operations are</h2>" + plots.synops_plot(report),
        "<h2>Energy against context length</h2>" + plots.sweep_plot(report, "context", "context, tokens"),
        "<h2>Energy against firing rate</h2>"
        + plots.sweep_plot(report, "rate", "density of matrix inputs, spike-driven shape"),
        "<h2>Energy against batch</h2>" + plots.sweep_plot(report, "batch", "streams that share weight reads"),
        "<h2>At equal quality</h2>"
        + (
            table(tables.equal_quality_table(report))
            if report.equal_quality.available
            else f"<p>{html.escape(report.equal_quality.reason)}.</p>"
        ),
        "<h2>Ratios, with the range that the prices leave (modelled)</h2>" + table(tables.ratio_table(report)),
        "<h2>Assumptions of rows</h2>" + table(tables.assumption_table(report)),
        "<h2>Counts</h2>" + table(tables.count_table(report)),
        "<h2>Energy of every profile, microjoules a token (modelled)</h2>" + table(tables.energy_table(report)),
        "<p class=note>Columns of different technologies are never to be divided by each other.</p>",
        "<h2>Element-wise operations</h2>" + table(tables.elementwise_table(report)),
        "<h2>Bytes moved</h2>" + table(tables.bytes_table(report)),
        "<h2>Matrix inputs and the density at which spikes stop paying</h2>" + table(tables.matrix_table(report)),
        "<h2>Footprint</h2>" + footprint + table(tables.memory_table(report)) + static_note(report),
        "<h2>Chips, microjoules a token (modelled)</h2>" + wrapped(tables.chip_table(report)),
        f"<h2>This machine (measured)</h2><p>{html.escape(report.host.what)}.</p>" + table(tables.host_table(report))
        if report.host
        else "",
        "<h2>Compressors on the same text, for scale</h2>" + table(tables.compressor_table(report))
        if report.compressors
        else "",
        "<h2>Published figures of other systems (context, not to be divided by)</h2>"
        + wrapped(tables.system_table(report)),
        "<h2>Prices, their sources and what they leave out</h2>" + wrapped(tables.profile_table(report)),
        "<h2>The paper's own accounting</h2>" + paper_section(report),
        "<h2>Method</h2>" + "".join(f"<p><b>{name}.</b> {html.escape(text)}</p>" for name, text in METHOD),
        baseline_section(report),
        "<h2>Provenance</h2><pre class=scroll>" + html.escape(json.dumps(report.provenance, indent=1)) + "</pre>",
    ]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1"><link rel=icon href="data:,">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{''.join(sections)}"
        f"<script id=data type=application/json>{embedded(report)}</script><script>{SCRIPT}</script></body></html>\n"
    )


def choices(report: Report) -> dict[str, list[str]]:
    """Precisions of every profile that prices at least one row."""
    found: dict[str, list[str]] = {}
    for column in report.columns:
        found.setdefault(column.profile, []).append(column.precision)
    return found


def switch(report: Report) -> str:
    """The choice of a price column, and the table and sentence that follow it."""
    options = "".join(f"<option>{html.escape(name)}</option>" for name in choices(report))
    body = "".join(f"<tr><td>{html.escape(r.name)}</td>{'<td></td>' * 5}</tr>" for r in report.rows)
    return (
        f"<p><label>Prices <select id=profile>{options}</select></label>"
        "<label>Precision <select id=precision></select></label></p><p id=verdict></p>"
        "<div class=scroll><table id=prices><thead><tr><th>model</th><th>uJ a token (<span id=column></span>)</th>"
        "<th>GPT fp32 / this</th><th>GPT int8 / this</th><th>twin / this</th><th>unpriced</th></tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def embedded(report: Report) -> str:
    """What the switch reads, safe inside a script element."""
    rows = [
        {"name": r.name, "energy_j": r.energy_j, "unpriced": {k: list(v) for k, v in r.unpriced.items()}}
        for r in report.rows
    ]
    references = {
        column.name: {c.reference: c.column for c in report.comparisons if c.column == column.name}
        for column in report.columns
    }
    data = {"rows": rows, "verdicts": report.verdicts, "choices": choices(report), "references": references}
    return json.dumps(data).replace("<", "\\u003c")


def static_note(report: Report) -> str:
    """Static power against token rate."""
    sweep = report.sweeps["token_rate"]
    parts = [
        f"{column}: "
        + ", ".join(f"{j * 1e6:,.4g} uJ at {rate:,.0f}/s" for rate, j in zip(sweep["x"], values, strict=True))
        for column, values in sweep["static_j"].items()
    ]
    return "".join(f"<p class=note>Static energy a token of all chips, {html.escape(part)}</p>" for part in parts)


def paper_section(report: Report) -> str:
    paper = report.paper_accounting
    return (
        f"<p>At T = {paper['context']}, d = {paper['d']}, rate {paper['rate']}: {paper['ratio']:.2f}x (grade: "
        f"{paper['grade']}). Why it differs from the measured rows: {html.escape(paper['why_it_differs'])}</p>"
    )


def baseline_section(report: Report) -> str:
    """Formula and reference of the analytic rows, if asked for."""
    rows = [[r.name, r.formula, r.reference or ""] for r in report.rows if r.formula]
    return "<h2>Analytic rows</h2>" + table((["system", "operations a token", "reference"], rows)) if rows else ""


def wrapped(content: Table) -> str:
    """A table whose cells may break into lines."""
    return table(content).replace("class=scroll", "class='scroll wrap'")


def table(content: Table) -> str:
    head, rows = content
    top = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<div class=scroll><table><tr>{top}</tr>{body}</table></div>"
