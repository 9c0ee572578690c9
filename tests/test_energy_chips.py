"""A chip's column by hand: dynamic terms, static power of all chips at a stated rate, and in words what is left out."""

import msgspec
import pytest

from exporters.loihi.mapping import load_chip
from exporters.loihi.mapping.estimate import estimate
from hw_sim.energy.chips import RowCounts, Site, chip_column, static_power
from hw_sim.energy.placement import Placement, check_network, read_placement
from hw_sim.energy.systems import published_systems
from spikegpt import UserError
from spikegpt.config import PRESETS

PLACED = Placement(
    chip="Loihi 1",
    cores=26,
    chips=2,
    populations={"a": 4, "b": 8},
    synapses=32,
    messages_per_token=700.0,
    hops_ew_per_token=1.0,
    hops_ns_per_token=2.0,
    graded_messages_per_token=12_288.0,
    host_values_per_token=1280.0,
)
SITE = Site(
    technology="loihi1", chip="Loihi 1", how="placed by our mapper", cores=26, chips=2, graded_values=False,
    placement=PLACED,
)  # fmt: skip
COUNTS = RowCounts(
    synops=200.0,
    all_operations=400.0,
    multiply_accumulates=50.0,
    elementwise={"neurons": 60.0, "wkv": 100.0, "gate": 20},
)


def test_a_column_by_hand():
    """4 + 3 uJ; two chips of 0.1 W at 500 tokens/s are 400 uJ."""
    static = static_power(0.1, SITE, 500)
    found = chip_column("loihi1-silicon", "x-int8", "fitted", SITE, {"a": 4e-6, "b": 3e-6} | static, 0.1, COUNTS, 500)
    assert (found.dynamic_j, found.static_j, found.total_j) == pytest.approx((7e-6, 400e-6, 407e-6))
    assert sum(found.terms.values()) == pytest.approx(found.total_j)
    assert found.cannot_run == ("WKV", "gates (products)")
    for said in (
        "x-int8, its body alone: 407 µJ a token (modelled, prices fitted), 7 dynamic and 400 static",
        "(2 chip(s) of 100 mW at an assumed 500 tokens/s)",
        "26 cores on 2 chip(s), placed by our mapper",
        "WKV, gates (products) cannot run there as they are",
        "messages carry no values",
        "head, 50 MACs (25% of the matrices' operations)",
        "element-wise work, 120 operations (30% of all)",
        "12,288 graded values between neurons, which this chip cannot send, beside 700 spike messages",
        "1,280 values from and to the host",
    ):
        assert said in found.text, found.text
    assert "static power" not in "".join(found.left_out)
    assert "the energy of a spike message, which these prices do not hold" in found.left_out
    priced = chip_column("x", "x", "fitted", SITE, {"messages": 1e-6} | static, 0.1, COUNTS, 500)
    assert len(priced.left_out) == len(found.left_out) - 1


def test_what_has_no_static_power_and_no_mapping_says_so():
    unplaced = msgspec.structs.replace(SITE, placement=None, graded_values=True, how="at least, from the shape")
    found = chip_column("mine", "x", "assumed", unplaced, {"a": 1e-6} | static_power(0.0, unplaced, 1), 0.0, COUNTS)
    assert found.static_j is None
    assert found.total_j == pytest.approx(1e-6)
    assert "need custom neurons (microcode)" in found.text
    assert "messages and hops, as nothing was mapped" in found.left_out
    assert "static power, which these prices do not hold" in found.left_out


def test_a_placement_is_of_the_network_or_refused():
    check_network(PLACED, {"b": 8, "a": 4}, 32, "m.json")
    for populations, synapses, named in (
        ({"a": 4, "b": 9}, 32, "first: b"),
        ({"a": 4}, 32, "first: b"),
        ({"a": 4, "b": 8, "c": 1}, 32, "first: c"),
        ({"a": 4, "b": 8}, 33, "32 synapses, this model has 2 of 12 and 33"),
    ):
        with pytest.raises(UserError, match=r"^m\.json: the mapping of another network") as refusal:
            check_network(PLACED, populations, synapses, "m.json")
        assert named in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cores": 0}, "placement.cores = 0 must be at least 1"),
        ({"chips": 10**400}, "placement.chips is beyond"),
        ({"cores": -(10**4000)}, "placement.cores is beyond"),
        ({"messages_per_token": 1e308}, "placement.messages_per_token is beyond"),
        ({"messages_per_token": -1}, "placement.messages_per_token = -1"),
        ({"chips": 1.5}, "$.placement.chips"),
        ({"hops_ew_per_token": None}, "$.placement.hops_ew_per_token"),
    ],
)
def test_a_placement_is_checked_key_by_key(change, named, tmp_path):
    path = tmp_path / "mapping.json"
    values = msgspec.to_builtins(PLACED)
    path.write_bytes(msgspec.json.encode({"chip": "Loihi 1", "placement": values}))
    assert read_placement(path) == PLACED
    path.write_bytes(msgspec.json.encode({"placement": values | change}))
    with pytest.raises(UserError, match=r"mapping\.json") as refusal:
        read_placement(path)
    assert named in str(refusal.value)


def test_chips_of_a_shape_are_worked_out_from_bytes_and_neurons():
    """Width 256 at 8 bits: 512 neurons of fan-in 256 fill a core's 128 KB, 128 of fan-in 1,024."""
    loihi = load_chip("loihi1")
    tiny = estimate(4, 256, loihi)
    assert (tiny.cores, tiny.chips, tiny.synapses) == (26, 1, 13 * 4 * 256**2)  # as the mapping of the shipped model
    assert tiny.neurons == 16 * 4 * 256
    assert (estimate(12, 512, loihi).cores, estimate(12, 512, loihi).chips) == (312, 3)  # as docs/loihi.md maps it
    large = PRESETS["260m"]
    found = estimate(large.n_layer, large.n_embd, loihi)
    assert found.chips >= -(-13 * 24 * 768**2 // (128 * 131072))
    assert estimate(1, 40_000, loihi) is None  # one neuron's synapses are more than a core holds


def test_published_systems_carry_source_and_scope():
    systems = published_systems()
    assert len(systems) > 8
    assert all(s.source and s.includes and s.figure for s in systems)
    for name in ("Loihi 2", "SpiNNaker2", "NorthPole", "Speck", "Xylo", "Jetson", "A100"):
        assert any(name in s.system for s in systems)
