"""The page in a real browser: no complaint, the switch shows the numbers of the report, nothing is cut anywhere."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import vl_convert
from playwright.sync_api import Browser, Page, sync_playwright

from hw_sim.energy import detail_tables, tables
from hw_sim.energy.page import page
from hw_sim.energy.page.charts import charts, settings, state_of
from hw_sim.energy.page.render import VEGA
from hw_sim.energy.summary import microjoules, verdict
from spikegpt.escape import printable
from tests.conftest import BROWSER
from tests.energy_example import HOSTILE, example
from tests.energy_parts import COLUMNS

pytestmark = pytest.mark.browser
WAIT = 120_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"], timeout=WAIT)
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Pages of one report, of reports beside each other, of int8 alone, and without a price column."""
    folder = tmp_path_factory.mktemp("pages")
    int8 = tuple(c for c in COLUMNS if c.precision == "int8")
    made = {
        "one": {"model": example()},
        "beside": {"a": example(), HOSTILE: example(int8), "assumed": example(counted=False)},
        "int8": {"model": example(int8, counted=False)},
        "none": {"model": example((), counted=False)},
    }
    for name, reports in made.items():
        (folder / f"{name}.html").write_text(page(reports), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


def opened(browser: Browser, path: Path, width: int = 1400, **options) -> tuple[Page, list[str]]:
    """A page, and all that the browser said of it."""
    shown = browser.new_context(viewport={"width": width, "height": 800}, **options).new_page()
    shown.set_default_timeout(WAIT)
    said: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    shown.goto(path.as_uri())
    return shown, said


def cells(shown: Page, table: str) -> list[list[str]]:
    return shown.eval_on_selector_all(f"{table} tbody tr", "rows => rows.map(r => [...r.cells].map(c => c.innerText))")


def test_the_switch_shows_the_numbers_of_the_report_in_every_column_context_and_batch(browser, files):
    report = example()
    shown, said = opened(browser, files["one"])
    for column in report.columns:
        shown.select_option("#profile", column.profile)
        shown.select_option("#precision", column.precision)
        for context, batch in settings(report) if column == COLUMNS[0] else settings(report)[:1]:
            shown.select_option("#context", str(context))
            shown.select_option("#batch", str(batch))
            assert cells(shown, "#chosen") == tables.chosen(report, column.name, context, batch).rows
            titles = dict(
                shown.eval_on_selector_all(
                    "figure:not([hidden])", "fs => fs.map(f => [f.id, f.innerText.split('\\n')[0]])"
                )
            )
            expected = {c.name: s.title for c in charts(report) if (s := state_of(c, column.name, (context, batch)))}
            assert titles == expected
        listed = shown.eval_on_selector_all(
            "ul.findings li:not([hidden])", "ls => ls.map(l => l.firstChild.textContent.trim())"
        )
        assert listed == [f.text for f in report.findings if f.column in (None, column.name)]
    assert not said


def test_energies_on_the_page_are_those_of_the_report(files):
    html, report = files["one"].read_text(encoding="utf-8"), example()
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.S).group(1))
    for column in report.columns:
        rows = data["reports"][0]["chosen"][f"{column.name}@256@1"]["rows"]
        priced = {r.name: microjoules(r.energy_j[column.name]) for r in report.rows if r.energy_j[column.name]}
        assert {row[0]: row[1] for row in rows} == priced


@pytest.mark.parametrize("name", ["one", "beside", "int8", "none"])
def test_no_width_scrolls_sideways_and_nothing_is_said(browser, files, name):
    shown, said = opened(browser, files[name])
    out = Path("out")
    out.mkdir(exist_ok=True)
    for width in (1400, 768, 360):
        shown.set_viewport_size({"width": width, "height": 800})
        shown.wait_for_timeout(400)  # pictures are drawn anew 0.15 s after the last change
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        wide = "ps => ps.filter(p => p.scrollWidth > p.clientWidth + 1).map(p => p.parentElement.id)"
        assert shown.eval_on_selector_all(".plot.drawn", wide) == []
        shown.screenshot(path=out / f"page-{name}-{width}.png", full_page=True)
    assert not said


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_paper_has_every_column_and_a_main_part_of_at_most_four_pages(browser, files, paper, tmp_path):
    shown, _ = opened(browser, files["one"])
    shown.pdf(path=tmp_path / "page.pdf", format=paper)
    text = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "page.pdf", "-"], capture_output=True, text=True, check=True
    )
    pages = text.stdout.split("\f")
    assert next(i for i, p in enumerate(pages) if p.lstrip().startswith("Appendix")) <= 4
    words = "".join(text.stdout.split())
    for table in detail_tables.tables(example()):
        for cell in [cell for line in (table.head, *table.rows) for cell in line]:
            assert "".join(cell.split()) in words or broken(cell, text.stdout), f"{table.name}: {cell} is not on paper"


def broken(cell: str, text: str) -> bool:
    """Whether a cell that takes several lines is there, word by word."""
    return all(word in text for word in re.findall(r"[\w.,]+", cell))


def test_dark_mode_keeps_the_contrast_of_text(browser, files):
    for scheme in ("light", "dark"):
        shown, _ = opened(browser, files["one"], color_scheme=scheme)
        shown.eval_on_selector_all("details", "ds => ds.forEach(d => { d.open = true; })")
        assert shown.evaluate(CONTRAST) >= 4.5, scheme


CONTRAST = """() => {
  const light = (css) => css.match(/[\\d.]+/g).slice(0, 3).map(Number).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const under = (e) => { while (e && /rgba\\(.*, 0\\)/.test(getComputedStyle(e).backgroundColor)) e = e.parentElement;
    return e ? getComputedStyle(e).backgroundColor : "rgb(255,255,255)"; };
  let worst = 21;
  for (const e of document.querySelectorAll("p, h1, h2, h3, li, th, td, dt, dd, small, a, summary, select, text")) {
    if (!e.textContent.trim()) continue;
    const style = getComputedStyle(e), ink = e.tagName === "text" ? style.fill : style.color;
    const [a, b] = [light(ink), light(under(e))].sort((x, y) => y - x);
    worst = Math.min(worst, (a + 0.05) / (b + 0.05));
  }
  return worst;
}"""


def test_without_javascript_the_verdict_the_numbers_and_the_pictures_are_there(browser, files):
    shown, _ = opened(browser, files["one"], java_script_enabled=False)
    report = example()
    text = shown.inner_text("main")
    assert verdict(report) in text
    assert shown.locator("figure svg").count() == len(charts(report))
    assert not shown.locator("#switch").is_visible()
    first = tables.chosen(report, COLUMNS[0].name, 256, 1)
    assert all(cell in text for row in first.rows for cell in row)


def test_every_picture_has_words_and_every_table_a_caption_and_scopes(browser, files):
    shown, _ = opened(browser, files["beside"])
    assert shown.eval_on_selector_all(".plot", "ps => ps.every(p => p.getAttribute('aria-label').length > 20)")
    assert shown.eval_on_selector_all("table", "ts => ts.every(t => t.caption && t.caption.textContent)")
    assert shown.eval_on_selector_all("th", "hs => hs.every(h => h.scope)")
    ids = shown.eval_on_selector_all("[id]", "es => es.map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_a_column_is_an_address_and_a_table_sorts_by_keyboard(browser, files):
    shown, _ = opened(browser, files["one"])
    shown.goto(files["one"].as_uri() + "#45nm-memory-int8")
    assert shown.input_value("#profile") == "45nm-memory"
    assert shown.input_value("#precision") == "int8"
    shown.focus("#chosen thead th:nth-child(2) button")
    shown.keyboard.press("Enter")
    found = [float(row[1]) for row in cells(shown, "#chosen")]
    assert found == sorted(found, reverse=True)
    shown.keyboard.press("Enter")
    assert [float(row[1]) for row in cells(shown, "#chosen")] == sorted(found)


def test_hostile_names_are_shown_and_not_obeyed(browser, files):
    shown, said = opened(browser, files["beside"])
    assert printable(HOSTILE) in shown.inner_text("main")
    assert "\u202e" not in shown.content()
    assert not said


def test_the_vega_of_the_page_is_that_which_pictures_are_compiled_for():
    assert VEGA.removeprefix("vega-") == vl_convert.get_vega_version()


def test_a_page_is_under_two_megabytes(files):
    assert all(path.stat().st_size < 2e6 for path in files.values())
