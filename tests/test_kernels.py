"""The fused kernels against the PyTorch loops that specify them, forward and backward, in float64."""

import os
import subprocess
import sys

import numpy as np
import pytest
import snntorch
import torch

from spikegpt import UserError
from spikegpt.fastmath import exp_nonpositive
from spikegpt.kernels import WKV_START, lif, spike_linear, token_shift, wkv
from spikegpt.kernels.reference import lif_loop, token_shift_loop, wkv_loop
from spikegpt.snntorch_import import from_snntorch

SHAPES = [(1, 1, 1), (3, 7, 70), (2, 5, 129)]
D = torch.float64


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def wkv_inputs(shape, started: bool):
    b, _, c = shape
    w, u = -3 * torch.rand(c, dtype=D), torch.randn(c, dtype=D)
    k, v = 3 * torch.randn(shape, dtype=D), torch.randn(shape, dtype=D)
    state = torch.zeros(3, b, c, dtype=D)
    state[2] = WKV_START
    if started:
        _, state = wkv_loop(w, u, torch.randn(shape, dtype=D), torch.randn(shape, dtype=D), state)
    return [t.requires_grad_() for t in (w, u, k, v)], state


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("started", [False, True])
def test_wkv_and_its_gradients_equal_the_loop(shape, started):
    inputs, state = wkv_inputs(shape, started)
    y, new = wkv(*inputs, state)
    expected, expected_new = wkv_loop(*inputs, state)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(new, expected_new, rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(y)
    specified = torch.autograd.grad(expected, inputs, grad, allow_unused=True)  # one token does not depend on w
    for ours, theirs, x in zip(torch.autograd.grad(y, inputs, grad), specified, inputs, strict=True):
        theirs = torch.zeros_like(x) if theirs is None else theirs
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_wkv_passes_gradcheck():
    inputs, state = wkv_inputs((2, 4, 3), started=True)
    assert torch.autograd.gradcheck(lambda *i: wkv(*i, state)[0], inputs)


@pytest.mark.parametrize("key", [-300.0, 300.0])
def test_wkv_stays_finite_where_a_plain_exponential_would_not(key):
    (w, u, k, v), state = wkv_inputs((1, 6, 4), started=False)
    y, _ = wkv(w.float(), u.float(), (k + key).float(), v.float(), state.float())
    expected, _ = wkv_loop(w, u, k + key, v, state)
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tau", [1.0, 2.0, 3.0])
def test_lif_and_its_gradient_equal_the_loop(shape, tau):
    x = (2 * torch.randn(shape, dtype=D)).requires_grad_()
    v = torch.rand(shape[0], shape[2], dtype=D)
    spikes, membrane = lif(x, v, tau, 1.0)
    expected, expected_membrane = lif_loop(x, v, tau, 1.0)
    assert torch.equal(spikes, expected)
    torch.testing.assert_close(membrane, expected_membrane, rtol=0, atol=1e-15)
    grad = torch.randn(shape, dtype=D)
    ours, theirs = torch.autograd.grad(spikes, x, grad)[0], torch.autograd.grad(expected, x, grad)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_lif_by_hand():
    """tau = 2, threshold 1: 1.5 -> 0.75; 1.5 -> 1.125, spike, reset; 2.0 -> exactly 1.0 spikes too."""
    spikes, v = lif(torch.tensor([[[1.5], [1.5], [2.0], [0.5]]]), torch.zeros(1, 1), 2.0, 1.0)
    assert spikes.flatten().tolist() == [0, 1, 1, 0]
    assert v.item() == 0.25


def test_lif_equals_snntorch_leaky_with_reset_to_zero_and_differs_with_its_default():
    """snntorch fires at v > threshold and adds its input unscaled, hence x / 2 and a threshold one step lower."""
    x = (2 * torch.randn(64, 128)).requires_grad_()
    below = float(np.nextafter(np.float32(1), np.float32(0)))

    def leaky(**options):
        surrogate = snntorch.surrogate.atan(alpha=2.0)
        cell = snntorch.Leaky(beta=0.5, threshold=below, spike_grad=surrogate, reset_delay=False, **options)
        v, spikes = torch.zeros(128), []
        for current in (x / 2).unbind(0):
            s, v = cell(current, v)
            spikes.append(s)
        return torch.stack(spikes)

    ours, _ = lif(x[None], torch.zeros(1, 128), 2.0, 1.0)
    theirs = leaky(reset_mechanism="zero")
    assert torch.equal(ours[0], theirs)
    grad = torch.randn_like(theirs)
    torch.testing.assert_close(torch.autograd.grad(ours[0], x, grad)[0], torch.autograd.grad(theirs, x, grad)[0])
    assert (leaky(reset_mechanism="subtract") != ours[0]).sum() > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_token_shift_and_its_gradients_equal_the_loop(shape):
    h = torch.randn(shape, dtype=D).requires_grad_()
    mix = torch.rand(3, shape[2], dtype=D).requires_grad_()
    last = torch.randn(shape[0], shape[2], dtype=D)
    (y, end), (expected, expected_end) = token_shift(h, last, mix), token_shift_loop(h, last, mix)
    assert torch.equal(y, expected)
    assert torch.equal(end, expected_end)
    grad = torch.randn_like(y)
    for ours, theirs in zip(
        torch.autograd.grad(y, (h, mix), grad), torch.autograd.grad(expected, (h, mix), grad), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_gradients_that_fade_over_time_never_become_denormal():
    """One gradient at the last of 400 steps, halved at every step before it."""
    x = torch.full((1, 400, 64), 0.1, requires_grad=True)
    spikes, _ = lif(x, torch.zeros(1, 64), 2.0, 1.0)
    grad = torch.zeros_like(spikes)
    grad[:, -1] = 1.0
    found = torch.autograd.grad(spikes, x, grad)[0].abs()
    assert found[0, -1].min() > 0
    assert not ((found > 0) & (found < torch.finfo(torch.float32).tiny)).any()
    assert (found[0, 0] == 0).all()


def test_kernels_take_non_contiguous_input():
    x = torch.randn(5, 3, 8).transpose(0, 1)
    v = torch.zeros(3, 8)
    assert torch.equal(lif(x, v, 2.0, 1.0)[0], lif(x.contiguous(), v, 2.0, 1.0)[0])


def test_vectorisable_exponential_is_accurate_and_flushes_denormals():
    from numba import njit

    run = njit(lambda x: [exp_nonpositive(v) for v in x])
    x = np.linspace(-86.9, 0, 4001).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert np.max(np.abs(np.array(run(x)) - exact) / exact) < 3e-7
    assert run(np.array([-88.0, -1e30], np.float32)) == [0, 0]


def test_the_kernels_leave_torch_the_threads_that_it_was_told_to_take():
    """Where numba's pool is OpenMP's too, its start would give torch all threads of the machine in mid-run."""
    code = (
        "import numba, torch; from spikegpt.kernels import token_shift; x = torch.ones(1, 2, 3)\n"
        "token_shift(x, x[:, 0], x[0, :1]); print(torch.get_num_threads(), numba.get_num_threads())"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    assert subprocess.check_output([sys.executable, "-c", code], env=env, text=True).split() == ["1", "1"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Triton's interpreter about NumPy's scalars
@pytest.mark.parametrize("shape", [(2, 8, 5), (1, 1, 33), (2, 3, 40)])
def test_what_a_gpu_runs_equals_the_loops(shape):
    """The Triton programs, run by Triton's interpreter on the CPU."""
    pytest.importorskip("triton")
    from spikegpt.kernels import gpu

    b, _, c = shape
    x, v = (2 * torch.randn(shape)).requires_grad_(), torch.rand(b, c)
    (spikes, membrane), (expected, expected_membrane) = gpu.LIF.apply(x, v, 2.0, 1.0), lif_loop(x, v, 2.0, 1.0)
    assert torch.equal(spikes, expected)
    torch.testing.assert_close(membrane, expected_membrane)
    grad = torch.randn(shape)
    torch.testing.assert_close(torch.autograd.grad(spikes, x, grad)[0], torch.autograd.grad(expected, x, grad)[0])
    for started in (False, True):
        inputs, state = wkv_inputs(shape, started)
        inputs, state = [i.detach().float().requires_grad_() for i in inputs], state.detach().float()
        y, new = gpu.WKV.apply(*inputs, state)
        expected, expected_new = wkv_loop(*inputs, state)
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(new, expected_new)
        specified = torch.autograd.grad(expected, inputs, grad, allow_unused=True)
        for ours, theirs, of in zip(torch.autograd.grad(y, inputs, grad), specified, inputs, strict=True):
            torch.testing.assert_close(ours, torch.zeros_like(of) if theirs is None else theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_a_lif_trained_in_snntorch_spikes_the_same_after_import(beta):
    neuron = snntorch.Leaky(beta=beta, threshold=0.7, reset_mechanism="zero", reset_delay=False)
    x, v, theirs = torch.randn(300, 16), torch.zeros(16), []
    with torch.no_grad():
        for current in x:
            s, v = neuron(current, v)
            theirs.append(s)
    imported = from_snntorch(neuron)
    ours, _ = lif(
        imported.input_scale * x[None].double(), torch.zeros(1, 16, dtype=D), imported.tau, imported.threshold
    )
    assert torch.stack(theirs).sum() > 100
    assert (ours[0] != torch.stack(theirs)).sum() == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "reset_mechanism"),
        ({"reset_mechanism": "zero"}, "reset_delay"),
        ({"reset_mechanism": "zero", "reset_delay": False, "inhibition": True}, "inhibition"),
        ({"reset_mechanism": "zero", "reset_delay": False, "beta": torch.rand(4)}, "every channel"),
        ({"reset_mechanism": "zero", "reset_delay": False, "beta": 1.0}, "beta = 1"),
    ],
)
@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
def test_a_snntorch_neuron_that_is_another_is_refused(options, named):
    with pytest.raises(UserError, match=named):
        from_snntorch(snntorch.Leaky(**{"beta": 0.5, **options}))


def test_a_spike_fed_product_is_the_dense_one_with_its_gradients():
    torch.manual_seed(0)
    x = (torch.rand(3, 7, 50, dtype=torch.double) < 0.2).double().requires_grad_()
    x.data[0, 0] = 0  # no spike at all
    weight = torch.randn(300, 50, dtype=torch.double, requires_grad=True)
    ours, theirs = spike_linear(x, weight), torch.nn.functional.linear(x, weight)
    torch.testing.assert_close(ours, theirs)
    grad = torch.randn_like(ours)
    for a, b in zip(*(torch.autograd.grad(y, (x, weight), grad) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b)


def test_memoryless_neurons_compare_their_input_to_the_bit():
    """Whatever the membrane held: v + (x - v) would round, and an input at the threshold decides a spike."""
    rng = torch.Generator().manual_seed(0)
    x, v = 1 + torch.randn(2, 40, 30, generator=rng) * 1e-7, torch.randn(2, 30, generator=rng)
    spikes, after = lif(x, v, 1.0, 1.0)
    assert torch.equal(spikes, (x >= 1).float()) and 0 < spikes.mean() < 1
    assert torch.equal(after, torch.where(x[:, -1] >= 1, 0.0, x[:, -1]))
    looped, loop_after = lif_loop(x, v, 1.0, 1.0)
    assert torch.equal(spikes, looped) and torch.equal(after, loop_after)
