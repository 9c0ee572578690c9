"""Counters of others on the same models: equal where they are right, and shown to differ where they are not."""

import numpy as np
import pytest
import torch

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.energy import work
from hw_sim.energy.schema import Shape
from hw_sim.energy.shapes import gpt
from tests.conftest import VOCAB, lively_model

op_counter = pytest.importorskip("spikingjelly.activation_based.op_counter")


def counted(function) -> dict[str, int]:
    """SpikingJelly's synaptic operations and multiply-accumulates of what a function runs."""
    counters = {"synops": op_counter.SynOpCounter(), "macs": op_counter.MACCounter()}
    with op_counter.DispatchCounterMode(list(counters.values())), torch.no_grad():
        function()
    return {name: counter.get_total() for name, counter in counters.items()}


@pytest.mark.parametrize("variant", ["spike-driven", "canonical", "continuous"])
def test_synaptic_operations_are_those_that_spikingjelly_counts(variant, tokens):
    model = lively_model(variant)
    theirs = counted(lambda: model(torch.from_numpy(tokens)[None]))
    ours = Simulator.from_nir(exporter.export(model)).run(tokens)
    assert ours.synops == theirs["synops"]
    assert (ours.synops > 0) == (variant == "spike-driven")
    silent = {m.name: m.dense - m.effective for m in ours.matrices if not m.spike_fed}
    assert ours.macs + sum(silent.values()) == theirs["macs"]  # it does not skip the zeros behind relu^2, we do
    if variant != "spike-driven":
        assert sum(n for name, n in silent.items() if name.endswith("ffn_value")) > 0


def test_attention_is_counted_which_spikingjelly_leaves_out():
    t, d, heads = 16, 128, 2
    q = torch.randn(1, heads, t, d // heads)
    theirs = counted(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q))
    assert theirs["macs"] == 0
    attention = [m for m in gpt("gpt", Shape(1, d, VOCAB), t).matrices if m.name.endswith("attention")]
    assert [m.effective for m in attention] == [2 * t * d]


def test_sums_stay_exact_where_float32_sums_do_not():
    """NeuroBench 2.3.0 adds in float32, whose whole numbers end at 2^24."""
    parts = [work.MatrixWork(f"m{i}", work.AC, (1 << 22) + 1, 1 << 23, 1 << 23) for i in range(9)]
    exact = work.Work("w", 1, tuple(parts), {}, {}, (), True).acs
    assert exact == 9 * ((1 << 22) + 1)
    rough = np.float32(0)
    for part in parts:
        rough = np.float32(rough + np.float32(part.effective))
    assert int(rough) != exact
