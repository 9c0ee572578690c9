"""Joules of the host: zones found, counters that start anew, idle power taken off; on made trees of powercap."""

from pathlib import Path

import pytest

from hw_sim.energy.host import Meter, find_zones, side_by_side

RANGE = 262_143_328_850


class Machine:
    """A powercap tree whose counters and clock a test moves."""

    def __init__(self, root: Path, zones: dict[str, tuple[str, int]]):
        self.root, self.now = root, 0.0
        for folder, (name, start) in zones.items():
            (root / folder).mkdir()
            for file, text in (("name", name), ("energy_uj", start), ("max_energy_range_uj", RANGE)):
                (root / folder / file).write_text(f"{text}\n")

    def spend(self, seconds: float, **joules: float) -> None:
        """Let time pass; zones by folder with _ for : and -."""
        self.now += seconds
        for folder in self.root.iterdir():
            spent = joules.get(folder.name.replace(":", "_").replace("-", "_"), 0)
            file = folder / "energy_uj"
            file.write_text(f"{(int(file.read_text()) + round(spent * 1e6)) % RANGE}\n")


@pytest.fixture
def machine(tmp_path):
    """Two sockets, one with DRAM, and what must not be added: cores, the platform, a second view of a package."""
    return Machine(
        tmp_path,
        {
            "intel-rapl:0": ("package-0", 0),
            "intel-rapl:0:0": ("core", 0),
            "intel-rapl:0:1": ("dram", 5),
            "intel-rapl:1": ("package-1", RANGE - 1_500_000),  # starts anew after 1.5 J
            "intel-rapl:2": ("psys", 0),
            "intel-rapl-mmio:0": ("package-0", 0),
        },
    )


def test_packages_and_dram_of_all_sockets_are_read_once(machine):
    zones, why_not = find_zones(machine.root)
    assert {z.name: z.path.parent.name for z in zones} == {
        "package-0": "intel-rapl:0", "package-0 dram": "intel-rapl:0:1", "package-1": "intel-rapl:1"
    }  # fmt: skip
    assert why_not == ""


def test_a_counter_that_started_anew_is_read_across_its_end(machine):
    meter = Meter(find_zones(machine.root)[0])
    machine.spend(1, intel_rapl_1=2.0, intel_rapl_0=1.0, intel_rapl_0_1=0.25, intel_rapl_0_0=99, intel_rapl_2=99)
    found = meter.joules()
    assert found["package-1"] == pytest.approx(2.0)
    assert found["package-0 dram"] == pytest.approx(0.25)
    assert meter.joules()["package-1"] == 0


def test_workloads_in_turn_by_hand(machine):
    """Idle 4 W. A takes 2 s and 20 J, its second time 3 s and 36 J; B 1 s and 10 J, then 12 J, all with DRAM 2 J."""
    ran = []
    spent = {"a": iter([(9, 9), (2, 20), (3, 36), (2, 20)]), "b": iter([(9, 9), (1, 10), (1, 12), (1, 10)])}

    def work(name):
        def run():
            seconds, joules = next(spent[name])
            ran.append(name)
            machine.spend(seconds, intel_rapl_0=joules, intel_rapl_1=0, intel_rapl_0_1=2)

        return run

    found = side_by_side(
        {"a": work("a"), "b": work("b")},
        tokens=100,
        root=machine.root,
        repetitions=3,
        idle_s=5,
        clock=lambda: machine.now,
        rest=lambda s: machine.spend(s, intel_rapl_0=16, intel_rapl_0_1=4),
    )
    assert ran == ["a", "b"] * 4  # once to warm up, then in turn
    assert found.joules
    assert found.idle_w == pytest.approx(4)
    a, b = found.workloads
    assert (a.seconds.median, a.seconds.low, a.seconds.high) == pytest.approx((0.02, 0.02, 0.03))
    assert (a.joules.median, a.joules.low, a.joules.high) == pytest.approx((0.22, 0.22, 0.38))
    assert (a.net_joules.median, a.net_joules.high) == pytest.approx((0.22 - 4 * 0.02, 0.38 - 4 * 0.03))
    assert (b.joules.median, b.joules.high) == pytest.approx((0.12, 0.14))
    assert b.by_zone["package-0 dram"] == pytest.approx(0.02)
    assert "4.0 W" in found.what
    assert "everything on them included" in found.what


def test_a_machine_without_counters_says_so_and_gives_seconds(tmp_path):
    ticks = iter(range(100))
    found = side_by_side({"a": lambda: None}, 10, root=tmp_path / "absent", clock=lambda: float(next(ticks)))
    assert not found.joules
    assert found.what.startswith("no joules: this machine shows no energy counters")
    (a,) = found.workloads
    assert (a.joules, a.net_joules, found.idle_w) == (None, None, None)
    assert a.seconds.median == 0.1


def test_counters_that_only_root_may_read_are_told_from_none(machine, monkeypatch):
    read = Path.read_text

    def denied(self, *args, **kwargs):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", denied)
    zones, why_not = find_zones(machine.root)
    assert zones == ()
    assert "not readable; root may read it" in why_not


def test_zones_that_only_limit_power_are_passed_over(machine):
    (machine.root / "intel-rapl:1" / "energy_uj").unlink()
    assert [z.name for z in find_zones(machine.root)[0]] == ["package-0", "package-0 dram"]
