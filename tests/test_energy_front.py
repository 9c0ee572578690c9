"""Models of equal quality: the front of dense ones, what is read off it, and the dense models that ship."""

import pytest

from hw_sim.energy import dense_models, front
from hw_sim.energy.schema import DensePoint
from tests.test_energy_report import TINY


def point(name, bits, cost, spiking=False):
    return DensePoint(name=name, spiking=spiking, source="", shape=TINY, bits_per_byte=bits, cost={"x": cost})


def test_the_front_leaves_out_what_another_beats():
    points = [point("a", 3.0, 10), point("b", 2.5, 20), point("c", 2.6, 30), point("d", 2.0, 40), point("e", 2.0, 50)]
    assert [p.name for p in front.front(points, "x")] == ["a", "b", "d"]


def test_equal_quality_is_read_off_the_front_between_two_named_models():
    """Half way in bits per byte between costs of 10 and 40: the geometric mean, 20; ours costs 80: 0.25 times ours."""
    dense = [point("small", 3.0, 10), point("large", 2.0, 40)]
    ours = point("ours", 2.5, 80, spiking=True)
    costs = {"ours": {"x": {"": 80.0, "dear": 40.0}}, "small": {"x": {"": 10.0, "dear": 10.0}},
             "large": {"x": {"": 40.0, "dear": 40.0}}}  # fmt: skip
    found = front.verdict(ours, dense, "x", costs)
    assert (found.ratio, found.low, found.high) == (pytest.approx(0.25), pytest.approx(0.25), pytest.approx(0.5))
    assert found.between == ("small", "large")
    assert "costs 0.25 times (0.25 to 0.5) ours" in found.text


def test_a_quality_that_no_dense_model_has_gives_no_ratio_and_one_that_all_have_gives_a_bound():
    costs = {n: {"x": {"": c}} for n, c in (("ours", 80.0), ("small", 10.0))}
    better = front.verdict(point("ours", 1.5, 80, True), [point("small", 3.0, 10)], "x", costs)
    assert better.ratio is None and "no dense model was measured" in better.text
    worse = front.verdict(point("ours", 4.0, 80, True), [point("small", 3.0, 10)], "x", costs)
    assert worse.bound and worse.ratio == pytest.approx(1 / 8)


def test_shipped_dense_models_are_data_with_their_text_and_settings():
    (sweep,) = dense_models.shipped_sweeps()
    assert sweep.longest_prefix(5000) == 4096
    assert sweep.longest_prefix(10) == 0
    names = {m.name for m in sweep.models}
    assert {"enwik-continuous", "enwik-canonical"} <= names
    for m in sweep.models:
        assert set(m.bits_per_byte) == set(sweep.prefixes)
        assert 0 < m.active["ffn_value"] < 1
        assert m.training["steps"]
        assert m.work().dense == 13 * m.shape.n_layer * m.shape.d**2 + m.shape.d * m.shape.vocab
