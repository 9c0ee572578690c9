"""Arithmetic of the float network: the numpy step functions here are its specification, as `fixed_point`'s are of the
integer one. They work in the precision of what they are given.
"""

import numpy as np


def squared_relu(x: np.ndarray) -> np.ndarray:
    return np.square(np.maximum(x, 0))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """LayerNorm of x (n,) with weight and bias (n,)."""
    centred = x - x.mean()
    return centred / np.sqrt(np.mean(centred * centred) + eps) * weight + bias


def lif(
    x: np.ndarray, v: np.ndarray, rate: np.ndarray, r: np.ndarray, v_leak: np.ndarray, v_reset: np.ndarray,
    v_threshold: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """NIR's LIF by one Euler step of rate = DT / tau, all (n,): v += (v_leak - v + r x) rate; spike at v > v_threshold.

    Returns spikes, True or False, and v.
    """
    v = v + (r * x - v + v_leak) * rate
    spikes = v > v_threshold
    return spikes, np.where(spikes, v_reset, v)


def integrate_and_fire(
    x: np.ndarray, v: np.ndarray, r: np.ndarray, v_reset: np.ndarray, v_threshold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """NIR's IF by one step of DT, all (n,), r per step: v += r x; spike at v > v_threshold. Returns as `lif`."""
    v = v + r * x
    spikes = v > v_threshold
    return spikes, np.where(spikes, v_reset, v)


def leak(x: np.ndarray, v: np.ndarray, rate: np.ndarray, r: np.ndarray, v_leak: np.ndarray) -> np.ndarray:
    """NIR's LI by one Euler step of rate = DT / tau, all (n,)."""
    return v + (r * x - v + v_leak) * rate


def integrate(x: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    """NIR's I by one step of DT, all (n,), r per step."""
    return v + r * x


def fire(x: np.ndarray, v_threshold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with rate = r = 1 and v_leak = v_reset = 0, where v is x: the sum above would round."""
    spikes = x > v_threshold
    return spikes, np.where(spikes, x.dtype.type(0), x)


def wkv(
    k: np.ndarray, v: np.ndarray, a: np.ndarray, b: np.ndarray, p: np.ndarray, decay: np.ndarray, bonus: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One step of WKV, all (n,); a and b are divided by e^p, p the running maximum. Returns y and the new a, b, p."""
    q = np.maximum(p, bonus + k)
    e1, e2 = np.exp(p - q), np.exp(bonus + k - q)
    y = (e1 * a + e2 * v) / (e1 * b + e2)
    q = np.maximum(p + decay, k)
    e1, e2 = np.exp(p + decay - q), np.exp(k - q)
    return y, e1 * a + e2 * v, e1 * b + e2, q
