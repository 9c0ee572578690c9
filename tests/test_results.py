"""docs/results.md: its numbers are those of the present prices, and its claims follow from its rows."""

import importlib.util
import json
from types import ModuleType

import pytest

from hw_sim.energy.dense_models import shipped_sweeps
from hw_sim.energy.schema import Shape


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


def test_ratios_follow_from_the_stored_densities_at_present_prices(script, rows):
    checked = 0
    for row in rows.values():
        if "45m shape" in row:
            found = script.shapes_of(row)
            for shape in ("own shape", "45m shape"):
                for name, (ratio, low, high) in found[shape]["ratios"].items():
                    assert row[shape]["ratios"][name] == pytest.approx([ratio, low, high]), (row["name"], name)
            assert row["own shape"]["synops"] == pytest.approx(row["operations"], rel=1e-4)
            checked += 1
    assert checked >= 3


def test_the_page_holds_the_tables_of_the_stored_rows(script, rows, request):
    page = (request.config.rootpath / "docs" / "results.md").read_text()
    for table in script.tables(list(rows.values())).values():
        assert table in page


def test_a_dense_model_of_a_quarter_of_the_width_is_close_in_quality_and_cheaper_in_int8(rows):
    """What the page says first: width 64, the same operations, 1/14 of the weights."""
    (sweep,) = shipped_sweeps()
    (twin,) = [m for m in sweep.models if m.shape == Shape(4, 64, 256)]
    ours = rows["spike-driven"]
    assert twin.work().synops < ours["operations"]
    assert ours["parameters"] > 14 * twin.parameters
    assert twin.bits_per_byte["32768"] < 1.05 * ours["float"]


def test_headline_claims_follow_from_the_rows(rows):
    ours, canonical = rows["spike-driven"], rows["canonical"]
    assert ours["tokens"] == canonical["tokens"]
    assert ours["bits_per_byte"] < canonical["bits_per_byte"]
    own = ours["own shape"]
    assert own["operations"] > 15.5
    assert own["operations, all"] > 11
    low = {name: low for name, (_, low, _) in own["ratios"].items()}
    assert low["compute fp32"] > 22
    assert low["memory fp32"] > 9.5
    assert low["memory int8"] > 3
    assert low["memory int8, batch 8"] > 1
    assert abs(ours["int8"] / ours["float"] - 1) < 0.01
