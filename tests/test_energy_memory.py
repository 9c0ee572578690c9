"""Memories and what shares them: prices by size, batches, accumulators, and the densities where spikes stop paying."""

import pytest

from hw_sim.energy import break_even, price, profiles, shapes
from hw_sim.energy.memory import Memory
from hw_sim.energy.work import AC, MAC, MatrixWork, Tensor
from spikegpt.config import CONTINUOUS, SPIKE_DRIVEN
from tests.test_energy import ROWS, SHAPE, one


def test_a_memory_costs_what_is_published_at_its_corners_and_the_mean_between_them():
    """8 KB 10 pJ, 32 KB 20 pJ, 1 MB 100 pJ for 64 bits; on along the last piece until DRAM at 1300 pJ is cheaper."""
    memory = profiles.shipped()["45nm-memory"].memory

    def access(size):
        return memory.access_j_per_bit(size) * 64e12

    for size, joules in ((1, 10), (8192, 10), (20480, 15), (32768, 20), (540672, 60), (1 << 20, 100), (1 << 30, 1300)):
        assert access(size) == pytest.approx(joules)
    assert access(2 << 20) == pytest.approx(100 + (1 << 20) * 80 / ((1 << 20) - 32768))
    sizes = [2**i for i in range(8, 32)]
    assert all(access(size + 64) <= access(size) * 1.01 for size in sizes), "a cliff"
    assert [access(a) for a in sizes] == sorted(access(a) for a in sizes)


def test_the_step_rule_and_its_neighbours_are_levels():
    levels = profiles.shipped()["45nm-memory"].memory.levels
    for shift, joules in ((0, 1.5625), (1, 20.3125), (-1, 0.3125)):
        assert Memory(levels, "step", shift).access_j_per_bit(1 << 19) == pytest.approx(joules * 1e-12)
    assert Memory(levels, "step", -1).access_j_per_bit(8) == pytest.approx(0.15625e-12)
    assert Memory(levels, "step", 1).access_j_per_bit(1 << 40) == pytest.approx(20.3125e-12)


@pytest.mark.parametrize("r, n, share", [(0.05, 1, 0.05), (0.5, 2, 0.375), (1.0, 8, 0.125), (0.0, 8, 0.0)])
def test_a_row_of_weights_is_read_once_for_all_streams_that_need_it(r, n, share):
    """(1 - (1 - r)^n) / n; two streams at one half: none needs it 1/4 of the time, so 3/4 of a read for two."""
    assert price.share_read(r, n) == pytest.approx(share)


def test_batching_never_reads_more_than_a_dense_model_does():
    memory = profiles.shipped()["45nm-memory"]
    dense = shapes.spikegpt("c", CONTINUOUS, SHAPE)
    for streams in (1, 8, 64, 1024):
        ours, theirs = (price.price(w, memory, "fp32", streams=streams) for w in (ROWS["r=0.34"], dense))
        assert ours.terms["weight reads"] <= theirs.terms["weight reads"]


def test_caches_and_states_of_all_streams_must_fit_where_they_lie():
    """Keys of one layer: 8 tokens x 256 words x 32 bits = 8 KB, 10 pJ an access; of four streams 32 KB, 20 pJ."""
    w = one(tensors=(Tensor("kv", 8 * 256, 64), Tensor("state", 2048, 64)))
    memory = profiles.shipped()["45nm-memory"]
    for streams, joules in ((1, 10), (4, 20)):
        found = price.price(w, memory, "fp32", streams=streams).terms
        assert found["KV cache"] == found["state"] == pytest.approx(64 * 32 / 64 * joules * 1e-12)


def test_int8_accumulators_have_32_bits_and_24_by_name():
    """100 accumulates: read and written at 10 pJ a 64-bit access: 2 x 32 bits, or 2 x 24."""
    w = one(MatrixWork("m", AC, 100, 200, 200, 20))
    memory = profiles.shipped()["45nm-memory"]
    assert price.price(w, memory, "int8").terms["accumulator traffic"] == pytest.approx(100 * 10e-12)
    narrow = next(a for a in memory.alternatives if a.name.startswith("24-bit"))
    assert price.price(w, memory.under(narrow), "int8").terms["accumulator traffic"] == pytest.approx(75 * 10e-12)


def test_break_even_densities_of_one_projection():
    """Compute only: 4.6 / 0.9, 0.3 / 0.1. In 1 MB, 512 x 512 words of float32: (4.6 + 50) / (0.9 + 50 + 10)."""
    shipped = profiles.shipped()
    assert break_even.of_projection(shipped["45nm-compute"], "fp32", 512, 512) == pytest.approx(4.6 / 0.9)
    assert break_even.of_projection(shipped["45nm-compute"], "int8", 512, 512) == pytest.approx(3.0)
    memory = shipped["45nm-memory"]
    assert break_even.of_projection(memory, "fp32", 512, 512) == pytest.approx(54.6 / 60.9)
    assert break_even.of_projection(shipped["loihi1-silicon"], "chip", 512, 512) is None
    limits = [break_even.of_projection(memory, "fp32", 512, 512, b) for b in (1, 8, 64, 4096)]
    assert limits[0] > limits[1] >= limits[2] - 1e-5 >= limits[3] - 2e-5
    r = limits[1]
    assert r * 10.9 + 50 * (1 - (1 - r) ** 8) / 8 == pytest.approx(4.6 + 50 / 8, rel=1e-4)


def test_the_break_even_of_a_model_is_where_it_costs_what_its_twin_does():
    memory = profiles.shipped()["45nm-memory"]
    twin = shapes.spikegpt("c", CONTINUOUS, SHAPE, {"ffn_value": 0.1})
    for streams in (1, 64):
        limit = break_even.of_model(
            memory, "int8", lambda r: shapes.spikegpt("s", SPIKE_DRIVEN, SHAPE, r), twin, streams
        )
        assert 0 < limit < 1
        ours = price.price(shapes.spikegpt("s", SPIKE_DRIVEN, SHAPE, limit), memory, "int8", streams=streams)
        assert ours.total_j == pytest.approx(price.price(twin, memory, "int8", streams=streams).total_j, rel=1e-4)


def test_bytes_go_to_the_smallest_level_that_holds_the_tensor_and_a_state_lies_where_it_is_priced():
    """A state vector of 4,096 words of 32 bits is 16 KB: in 32 KB by the table, 13.33 pJ between its corners."""
    small, big = MatrixWork("small", MAC, 100, 100, 1000, 10), MatrixWork("big", AC, 10, 20, 1 << 20, 10)
    w = one(small, big, tensors=(Tensor("state", 4096, 100),))
    memory = profiles.shipped()["45nm-memory"]
    moved = price.traffic(w, memory, "fp32")
    assert moved == {"8KB": 100 * 4 + 2 * 10 * 4, "32KB": 400, "1MB": 0, "DRAM": 40}
    assert price.price(w, memory, "fp32").terms["state"] == pytest.approx(100 / 2 * 13.3333e-12, rel=1e-4)
