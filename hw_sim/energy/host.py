"""Joules of this machine, read from its own counters: workloads in turn, again and again, on Linux powercap (RAPL).

What a counter holds is the energy of a whole package (or its DRAM), whoever used it: every process, the operating
system and what the chip takes when idle. So the idle machine is measured too, and other load must be absent.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

POWERCAP = Path("/sys/class/powercap")
REPETITIONS, IDLE_S = 5, 3.0


class Zone(Struct, frozen=True):
    """A counter: microjoules in `path`, which starts again from 0 after `range_uj`."""

    name: str
    path: Path
    range_uj: int


class Spread(Struct, frozen=True):
    """Median, smallest and largest of the repetitions."""

    median: float
    low: float
    high: float


class Measured(Struct, frozen=True, kw_only=True):
    """A workload, a token: seconds, and joules where counters could be read; `net_j` is without the idle power."""

    name: str
    seconds: Spread
    joules: Spread | None
    net_joules: Spread | None
    by_zone: dict[str, float]  # medians, joules a token


class Host(Struct, frozen=True, kw_only=True):
    """What was measured on this machine. `joules` says whether counters could be read, `what` in words what was."""

    joules: bool
    what: str
    zones: tuple[str, ...]
    idle_w: float | None
    repetitions: int
    tokens: int
    workloads: tuple[Measured, ...]


def find_zones(root: Path = POWERCAP) -> tuple[tuple[Zone, ...], str]:
    """Counters of all packages and their DRAM, or none and why.

    Cores and graphics are parts of a package, psys is the machine around it: neither is added. A package that two
    drivers show (intel-rapl and intel-rapl-mmio) is read once.
    """
    found: dict[str, Zone] = {}
    denied = []
    for folder in sorted(root.glob("*:*"), key=lambda f: ("mmio" in f.name, f.name)):
        try:
            name = (folder / "name").read_text().strip()
            parent = folder.name.rpartition(":")[0]
            if name == "dram":
                name = f"{(root / parent / 'name').read_text().strip()} dram"
            elif not name.startswith("package"):
                continue
            int((folder / "energy_uj").read_text())
            zone = Zone(name, folder / "energy_uj", int((folder / "max_energy_range_uj").read_text()))
        except PermissionError:
            denied.append(folder.name)
        except (OSError, ValueError):  # no counter of energy: a zone that only limits power
            continue
        else:
            found.setdefault(name, zone)
    if denied and not found:
        return (), f"no joules: {root}/{denied[0]}/energy_uj is there but not readable; root may read it"
    if not found:
        return (), f"no joules: this machine shows no energy counters in {root} (Linux on Intel or AMD, no guest, has)"
    return tuple(found.values()), ""


class Meter:
    """Reads zones again and again; a counter may start anew once between two readings."""

    def __init__(self, zones: tuple[Zone, ...]):
        self.zones = zones
        self.last = self._read()

    def _read(self) -> list[int]:
        return [int(zone.path.read_text()) for zone in self.zones]

    def joules(self) -> dict[str, float]:
        """By zone, since the last call or since the meter was made."""
        before, self.last = self.last, self._read()
        return {
            zone.name: ((now - then) if now >= then else now + zone.range_uj - then) * 1e-6
            for zone, then, now in zip(self.zones, before, self.last, strict=True)
        }


def side_by_side(
    workloads: Mapping[str, Callable[[], object]],
    tokens: int,
    *,
    root: Path = POWERCAP,
    repetitions: int = REPETITIONS,
    idle_s: float = IDLE_S,
    clock: Callable[[], float] = time.perf_counter,
    rest: Callable[[float], object] = time.sleep,
    progress: Callable[[int], None] = lambda done: None,
) -> Host:
    """Run every workload once to warm up, then all of them in turn, `repetitions` times; each processes `tokens`.

    The machine is left alone for `idle_s` seconds first: its power then is taken off in `net_joules`.
    """
    zones, why_not = find_zones(root)
    meter = Meter(zones)
    for work in workloads.values():
        work()
    idle_w = None
    if zones:
        start = clock()
        meter.joules()
        rest(idle_s)
        idle_w = sum(meter.joules().values()) / (clock() - start)
    seconds: dict[str, list[float]] = {name: [] for name in workloads}
    joules: dict[str, list[dict[str, float]]] = {name: [] for name in workloads}
    for _ in range(repetitions):
        for name, work in workloads.items():
            meter.joules()
            start = clock()
            work()
            seconds[name].append(clock() - start)
            joules[name].append(meter.joules())
            progress(1)

    def measured(name: str) -> Measured:
        took = seconds[name]
        totals = [sum(zone.values()) for zone in joules[name]]
        return Measured(
            name=name,
            seconds=spread([s / tokens for s in took]),
            joules=spread([j / tokens for j in totals]) if zones else None,
            net_joules=None
            if idle_w is None
            else spread([(j - idle_w * s) / tokens for j, s in zip(totals, took, strict=True)]),
            by_zone={z.name: statistics.median(j[z.name] for j in joules[name]) / tokens for z in zones},
        )

    what = (
        f"measured: energy counters of {', '.join(z.name for z in zones)}, everything on them included, not what one "
        f"process takes; net: without the {idle_w:.1f} W that the idle machine took for {idle_s:g} s before; medians "
        f"of {repetitions} repetitions in turn"
        if zones
        else f"{why_not}; seconds alone were measured"
    )
    return Host(
        joules=bool(zones),
        what=what,
        zones=tuple(z.name for z in zones),
        idle_w=idle_w,
        repetitions=repetitions,
        tokens=tokens,
        workloads=tuple(measured(name) for name in workloads),
    )


def spread(values: list[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))
