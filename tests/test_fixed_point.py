"""The integer LayerNorm, WKV and sigmoid against float64, at their limits, and without a float in between."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_sim.graph.extensions import WKV, LayerNorm
from hw_sim.plan import fixed_point as fp


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


@given(st.integers(1, 2**62))
@settings(deadline=None, max_examples=300)
def test_integer_root_is_the_floor_of_the_root(x):
    root = fp.integer_root(x)
    assert root**2 <= x < (root + 1) ** 2


@pytest.mark.parametrize("spread", [0.05, 1.0, 40.0])
def test_layer_norm_follows_float64(spread):
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(3, spread, 256), rng.normal(2, 0.5, 256), rng.normal(0, 1, 256)
    exact = LayerNorm(weight, bias, np.array([1e-5])).step(fp.to_fixed(x) / fp.ONE)
    y = fp.layer_norm(fp.to_fixed(x), fp.to_fixed(weight, fp.GAIN_BITS), fp.to_fixed(bias), fp.to_fixed(1e-5, 24))
    assert y.dtype == np.int64
    assert rms(y / fp.ONE - exact) / rms(exact) < (0.01 if spread < 0.1 else 0.002)


def test_layer_norm_of_equal_channels_is_the_bias():
    """No variance: eps alone keeps the division defined."""
    bias = np.arange(8)
    assert np.array_equal(fp.layer_norm(np.full(8, 5000), np.full(8, 1 << fp.GAIN_BITS), bias, 1), bias)


def test_layer_norm_does_not_wrap_at_its_widest_and_largest():
    n = fp.NORM_WIDTH_LIMIT
    x = np.where(np.arange(n) % 2, fp.NORM_INPUT_LIMIT, -fp.NORM_INPUT_LIMIT)
    y = fp.layer_norm(x, np.full(n, 1 << fp.GAIN_BITS), np.zeros(n, np.int64), 168)
    assert np.abs(np.abs(y) - fp.ONE).max() <= 2  # +-1 after normalisation


def test_sigmoid_follows_float64_and_is_symmetric():
    x = np.arange(-(1 << 18), 1 << 18, 7)
    y = fp.sigmoid(x)
    assert np.abs(y / fp.ONE - 1 / (1 + np.exp(-x / fp.ONE))).max() < 2.5e-4  # one step of the signal grid
    assert np.array_equal(y + fp.sigmoid(-x), np.full(len(x), fp.ONE))
    assert fp.sigmoid(np.array([0, 1 << 40, -(1 << 40)])).tolist() == [fp.ONE // 2, fp.ONE, 0]


def wkv_run(k, v, decay, bonus):
    """y (T, n) of the integer WKV, and its last state; all inputs are real."""
    n = k.shape[1]
    a, b, p = np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, fp.WKV_START)
    found = []
    for i in range(len(k)):
        y, a, b, p = fp.wkv(fp.to_fixed(k[i]), fp.to_fixed(v[i]), a, b, p, fp.to_exponent(decay), fp.to_exponent(bonus))
        assert np.all((b >= 1 << fp.WEIGHT_BITS) & (b < 2 << fp.WEIGHT_BITS))
        found.append(y / fp.ONE)
    return np.array(found), (a, b, p)


@pytest.mark.parametrize("size", [1.0, 6.0])
def test_wkv_follows_float64_over_a_long_text(size):
    rng = np.random.default_rng(1)
    k, v = rng.normal(0, size, (600, 40)), rng.normal(0, 1, (600, 40))
    decay, bonus = -np.exp(np.linspace(-7, 3, 40)), rng.normal(0, 1, 40)
    node = WKV(decay, bonus)
    state, exact = node.start(), []
    for i in range(len(k)):
        y, state = node.step(np.concatenate([k[i], v[i]]), state)
        exact.append(y)
    y, _ = wkv_run(k, v, decay, bonus)
    assert rms(y - np.array(exact)) / rms(np.array(exact)) < 0.002


def test_wkv_without_decay_keeps_24_bits_over_any_number_of_tokens():
    """The denominator would grow by one a token: the shared exponent takes it up."""
    ones = np.ones((3000, 1))
    y, (a, b, p) = wkv_run(0 * ones, 1.5 * ones, np.zeros(1), np.zeros(1))
    assert np.abs(y - 1.5).max() < 0.01
    assert a.item() < 1 << 23
    assert b.item() < 1 << 23
    assert p.item() >> fp.EXPONENT_BITS == 11  # 2^11 <= 3000 < 2^12


def test_wkv_returns_the_first_value_as_it_is():
    v = np.array([[-3.25, 0.5]])
    assert np.array_equal(wkv_run(np.array([[9.0, -9.0]]), v, -np.ones(2), np.ones(2))[0], v)
