"""The page of a network's report in a real browser: its switch shows the report's numbers, a name is only shown."""

from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from exporters.energy_network import report_of_network
from hw_sim.energy.network import words
from hw_sim.energy.network.forms import charts, markdown
from hw_sim.energy.network.report import NETWORK
from hw_sim.energy.network.tables import chosen
from hw_sim.energy.settings import Settings
from hw_sim.graph.foreign import read_foreign
from spikegpt.escape import printable
from tests.conftest import BROWSER
from tests.energy_example import HOSTILE

pytestmark = pytest.mark.browser
NODE = HOSTILE.replace("/", "")  # as HDF5 may name it
WAIT = 120_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A small network on events, under names that a browser would obey."""
    folder, rng = tmp_path_factory.mktemp("network"), np.random.default_rng(3)
    nodes = {
        "in": nir.Input({"input": np.array([5])}), NODE: nir.Linear(rng.random((8, 5)).astype(np.float32)),
        "n": nir.IF(np.ones(8), np.full(8, 0.5)), "b": nir.Linear(rng.random((3, 8)).astype(np.float32)),
        "m": nir.IF(np.ones(3), np.full(3, 0.5)), "out": nir.Output({"output": np.array([3])}),
    }  # fmt: skip
    nir.write(folder / "n.nir", nir.NIRGraph(nodes, list(pairwise(nodes))), compression=None)
    inputs = (rng.random((40, 5)) < 0.3).astype(np.float32)
    return report_of_network(read_foreign(folder / "n.nir"), inputs, Settings(), network=HOSTILE, recording="x.npy",
                             inputs_sha256="0" * 64, time_step="a step", provenance={"command": HOSTILE})  # fmt: skip


def test_the_switch_shows_the_numbers_of_every_column_and_nothing_is_said(report, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(report.to_html(), encoding="utf-8")
    out = Path("out")
    out.mkdir(exist_ok=True)
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"], timeout=WAIT)
        shown, said = browser.new_page(viewport={"width": 1400, "height": 800}), []
        shown.set_default_timeout(WAIT)
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.goto(page.as_uri())
        for column in (c for c in report.columns if c.name in report.row(NETWORK).energy_j):
            shown.select_option("#profile", column.profile)
            shown.select_option("#precision", column.precision)
            found = "rows => rows.map(r => [...r.cells].map(c => c.innerText))"
            assert shown.eval_on_selector_all("#chosen tbody tr", found) == chosen(report, column.name).rows
            titles = shown.eval_on_selector_all("figure:not([hidden]) h3", "hs => hs.map(h => h.innerText)")
            states = [c.states.get(column.name) or c.states.get("") for c in charts(report)]
            assert titles == [s.title for s in states if s]
            listed = "ls => ls.map(l => l.firstChild.textContent.trim())"
            visible = shown.eval_on_selector_all("ul.findings li:not([hidden])", listed)
            assert visible == [f.text for f in words.findings(report) if f.column == column.name]
        for width in (1400, 360):
            shown.set_viewport_size({"width": width, "height": 800})
            shown.wait_for_timeout(400)  # pictures are drawn anew 0.15 s after the last change
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
            shown.screenshot(path=out / f"network-page-{width}.png", full_page=True)
        text = shown.inner_text("main")
        browser.close()
    assert not said
    assert printable(HOSTILE) in text
    assert "batch" not in text.lower()


def test_markdown_says_what_the_page_says(report):
    text = markdown(report)
    assert words.verdict(report) in text
    assert HOSTILE not in text
    for r in report.rows:
        assert f"| {r.name} |" in text
