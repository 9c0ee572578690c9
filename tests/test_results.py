"""docs/results.md: its numbers are those of the present prices, and its claims follow from its rows."""

import importlib.util
import json
from types import ModuleType

import pytest

from hw_sim.energy import work


@pytest.fixture(scope="module")
def script(request) -> ModuleType:
    spec = importlib.util.spec_from_file_location("results", request.config.rootpath / "bench" / "results.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows(request) -> dict[str, dict]:
    found = json.loads((request.config.rootpath / "docs" / "results.json").read_text())
    return {row["name"]: row for row in found}


def test_projected_ratios_follow_from_the_stored_densities_at_present_prices(script, rows):
    checked = 0
    for row in rows.values():
        if "45m shape" in row:
            subject = work.spikegpt(row["variant"], *script.LARGE, row.get("density", 0.0))
            assert script.against_gpt(subject, script.LARGE)["ratios"] == pytest.approx(row["45m shape"]["ratios"])
            checked += 1
    assert checked >= 3


def test_the_page_holds_the_tables_of_the_stored_rows(script, rows, request):
    page = (request.config.rootpath / "docs" / "results.md").read_text()
    for table in script.tables(list(rows.values())).values():
        assert table in page


def test_headline_claims_follow_from_the_rows(rows):
    ours, canonical = rows["spike-driven"], rows["canonical"]
    assert ours["tokens"] == canonical["tokens"]
    assert ours["bits_per_byte"] < canonical["bits_per_byte"]
    for shape in ("45m shape", "own shape"):
        ratios = ours[shape]["ratios"]
        assert ratios["operations"] > 22
        assert ratios["compute fp32"] > 50
        assert ratios["memory fp32, batch 1"] > 15
        assert ratios["memory fp32, batch 8"] > 5
    assert abs(ours["int8"] / ours["float"] - 1) < 0.01
