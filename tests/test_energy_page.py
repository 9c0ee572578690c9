"""The page in a real browser: no errors, and the switch shows the numbers of report.json."""

import html
import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from hw_sim.energy import report
from hw_sim.energy.html import choices, page
from hw_sim.energy.schema import Report, Shape
from hw_sim.energy.settings import Settings
from tests.conftest import BROWSER

browser = pytest.mark.browser


@pytest.fixture(scope="module")
def built() -> Report:
    return report.build([], Settings(baselines=True), what_if=(Shape(4, 256, 256), 0.05))


def browse(page_at: str, tmp_path: Path, *options: str) -> subprocess.CompletedProcess:
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'u'}",
    ]
    assert BROWSER is not None
    return subprocess.run([BROWSER, *flags, *options, page_at], capture_output=True, text=True, check=True)


def shown(dom: str) -> list[list[str]]:
    body = re.search(r'<table id="prices">.*?<tbody>(.*?)</tbody>', dom, re.S).group(1)
    return [
        [html.unescape(c) for c in re.findall(r"<td>(.*?)</td>", row)] for row in re.findall(r"<tr>(.*?)</tr>", body)
    ]


@browser
@pytest.mark.parametrize("column", [None, "45nm-memory-int8", "loihi1-silicon"])
def test_the_switch_shows_the_numbers_of_the_report(built, tmp_path, column):
    (tmp_path / "report.html").write_text(page(built))
    done = browse(f"file://{tmp_path}/report.html" + (f"#{column}" if column else ""), tmp_path, "--dump-dom")
    assert "CONSOLE" not in done.stderr
    rows = msgspec.to_builtins(built)["rows"]
    column = column or next(iter(rows[0]["energy_j"]))
    expected = [
        [r["name"], "-" if r["energy_j"][column] is None else f"{r['energy_j'][column] * 1e6:.3f}"] for r in rows
    ]
    assert [cells[:2] for cells in shown(done.stdout)] == expected
    subject = next(cells for cells in shown(done.stdout) if cells[0] == built.model["row"])
    ratios = [built.ratios.get(reference, {}).get(column) for reference in ("gpt-fp32", "gpt-int8", "continuous")]
    assert subject[2:5] == ["-" if ratio is None else f"{ratio:.2f}x" for ratio in ratios]
    verdict = html.unescape(re.search(r'<p id="verdict">(.*?)</p>', done.stdout, re.S).group(1))
    assert verdict == built.verdicts.get(column, "No other row is priced by this profile.")


def test_every_column_can_be_chosen(built):
    offered = {p if q == "chip" else f"{p}-{q}" for p, qs in choices(built).items() for q in qs}
    assert offered == set(built.rows[0].energy_j)


@browser
def test_a_phone_shows_the_page_without_scrolling_sideways(built, tmp_path):
    probe = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth;</script></body>"
    (tmp_path / "report.html").write_text(page(built).replace("</body>", probe))
    done = browse(f"file://{tmp_path}/report.html", tmp_path, "--window-size=500,900", "--dump-dom")
    wide, room = map(int, re.search(r"<title>(\d+) of (\d+)</title>", done.stdout).groups())
    assert wide <= room
    picture = tmp_path / "report.png"
    browse(f"file://{tmp_path}/report.html", tmp_path, "--window-size=500,900", f"--screenshot={picture}")
    assert picture.stat().st_size > 10_000
