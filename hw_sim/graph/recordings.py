"""What went into a network and what came out, as people store it: arrays, event lists, NIRData.

Inputs become (T, n) float32, a step a row; several samples are not run in one stream. Spikes of populations that a file
holds beside its inputs are what a run is compared with.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from hw_sim.graph.check import MAX_VALUES
from hw_sim.graph.files import DAMAGE
from hw_sim.graph.screen import screened
from spikegpt import files
from spikegpt.arrays import read_arrays
from spikegpt.errors import UserError
from spikegpt.kinds import HDF5, NPY, ZIP, first_bytes, kind_of

Shape = tuple[int, ...]
INPUT, OBSERVED = "input", "spikes"  # names: of inputs in an archive, of what NIRData observes of a node
NUMBERS = ("dt", "t_max", "n_neurons")  # of NIRData: those that are no arrays
EVENTS = ("idx", "time", "n_neurons", "t_max")
FIELDS = {"TimeGriddedData": ("data", "dt"), "EventData": EVENTS, "ValuedEventData": (*EVENTS, "value")}
COLUMNS = ("t", "step", "index", "x", "y", "p")
DOUBLES = (("t", "step"), ("index", "x"), ("index", "y"), ("index", "p"))  # columns that say one thing
UNPACKED = 256 << 20  # bytes that a file may unpack to
VALUES = 1 << 28  # that inputs may hold
LINE = 1000  # characters of the first line


@dataclass(frozen=True)
class Recording:
    """Inputs (T, n) float32; `events`: the file says that they are spikes; spikes (T, n) uint8 by population."""

    inputs: np.ndarray
    events: bool = False
    spikes: dict[str, np.ndarray] = field(default_factory=dict)


def read_recording(path: str | Path, shape: Shape, dt: float, steps: int | None = None) -> Recording:
    """Read inputs for a network that takes `shape` a step of `dt` seconds; `steps`: the first ones alone.

    Raises UserError naming the file for what is no recording, or does not fit.
    """
    path = Path(path)
    kind = kind_of(first_bytes(path))
    try:
        if kind == HDF5:
            found = _of_nir_data(path, shape, dt)
        elif kind in (NPY, ZIP):
            found = _of_arrays(read_arrays(path), shape, dt)
        elif path.suffix in (".csv", ".txt"):
            found = Recording(_gridded(_columns(path), shape, dt), True)
        else:
            told = f", not {kind}" if kind else ""
            raise UserError(f"inputs are a .npy, a .npz, a .csv of events or NIRData{told}")
        if steps is not None and len(found.inputs) < steps:
            raise UserError(f"inputs have {len(found.inputs)} steps, fewer than {steps}")
        return Recording(found.inputs[:steps], found.events, found.spikes)
    except UserError as error:
        said = str(error)
        raise UserError(said if said.startswith(str(path)) else f"{path}: {said}") from error


def _of_arrays(found: dict[str, np.ndarray], shape: Shape, dt: float) -> Recording:
    if "" in found or INPUT in found:
        inputs = found.pop("", None)
        inputs = found.pop(INPUT) if inputs is None else inputs
        return Recording(_checked(inputs, shape), inputs.dtype == bool, found)
    if found.keys() & {"t", "step"}:
        return Recording(_gridded(found, shape, dt), True)
    raise UserError(f"holds {', '.join(sorted(found)) or 'nothing'}; no array named {INPUT}, no events (t or step)")


def _checked(inputs: np.ndarray, shape: Shape) -> np.ndarray:
    n = int(np.prod(shape))
    if inputs.dtype.kind not in "fiub" or not inputs.size:
        raise UserError(f"inputs of shape {inputs.shape} and type {inputs.dtype}; numbers are needed")
    if inputs.shape[1:] not in ((n,), tuple(shape)):
        steps = ", ".join(("T", *map(str, shape)))
        either = f"(T, {n}) or ({steps})" if len(shape) > 1 else f"(T, {n})"
        raise UserError(f"inputs have shape {inputs.shape}; {n} values a time step are needed, as {either}")
    with np.errstate(over="ignore"):
        taken = np.ascontiguousarray(inputs.reshape(len(inputs), n), np.float32)
    if not np.isfinite(taken).all():
        raise UserError("inputs must be finite numbers of float32")
    return taken


def _columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of a text by the names in its first line."""
    if path.stat().st_size > UNPACKED:
        raise UserError(f"{path.stat().st_size:,} bytes; up to {UNPACKED:,} of events are read")
    try:
        with path.open(encoding="utf-8") as file:
            names = [name.strip() for name in file.readline(LINE).split(",")]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a list without an event
            values = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, comments=None, encoding="utf-8")
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"no list of events: {' '.join(str(error).split())[:200]}") from error
    if values.size and values.shape[1] != len(names):
        raise UserError(f"no list of events: lines have {values.shape[1]} columns, the first {len(names)}")
    return {name: values[:, i] if values.size else np.zeros(0) for i, name in enumerate(names)}


def _gridded(events: dict[str, np.ndarray], shape: Shape, dt: float) -> np.ndarray:
    """Events on the grid of steps: `step`, or `t` in seconds, and `index`, or `x` and `y` and, of several maps, `p`."""
    _check_events(events)
    n, when = int(np.prod(shape)), step_of(events["t"], dt) if "t" in events else events["step"]
    steps = int(when.max()) + 1 if when.size else 1
    if steps * n > VALUES:
        raise UserError(f"events last {steps:,} steps of {dt:g} s; up to {VALUES // n:,} are run")
    grid = np.zeros((steps, n), np.float32)
    grid[when.astype(np.int64), _places(events, shape)] = 1  # two events at one place in one step are one
    return grid


def _check_events(events: dict[str, np.ndarray]) -> None:
    """Raise UserError for columns that say too little or too much, and for numbers that none of them can hold."""
    unknown = sorted(set(events) - set(COLUMNS))
    if unknown or not events.keys() & {"t", "step"} or not ("index" in events or {"x", "y"} <= events.keys()):
        told = f"no list of events: columns {', '.join(events)[:200]}"
        raise UserError(f"{told}; events have t (seconds) or step, and index, or x, y and p")
    doubled = [pair for pair in DOUBLES if set(pair) <= set(events)]
    if doubled:
        raise UserError(f"events have both {' and '.join(doubled[0])}; name one of them")
    sizes = {values.shape for values in events.values()}
    if len(sizes) != 1 or any(values.dtype.kind not in "fiu" for values in events.values()):
        raise UserError("its columns are not numbers of one length")
    for name, values in events.items():
        if values.size and not (np.isfinite(values).all() and values.min() >= 0):
            raise UserError(f"{name} of an event is negative or no number")
        if name != "t" and np.any(values != np.floor(values)):
            raise UserError(f"{name} of an event is no whole number")


def _places(events: dict[str, np.ndarray], shape: Shape) -> np.ndarray:
    """The index of each event among the inputs of a step: `index`, or from `p`, `y` and `x`."""
    if "index" in events:
        if (index := events["index"]).size and index.max() >= np.prod(shape):
            raise UserError(f"index {int(index.max())} for {int(np.prod(shape))} inputs")
        return index.astype(np.int64)
    maps = int(np.prod(shape[:-2]))
    if len(shape) < 2:
        raise UserError(f"events by x and y for inputs of shape {shape}; give an index")
    if maps > 1 and "p" not in events:
        raise UserError(f"events by x and y for {maps} maps, inputs of shape {shape}; give p, or an index")
    for name, n in (("x", shape[-1]), ("y", shape[-2]), ("p", maps)):
        if name in events and events[name].size and events[name].max() >= n:
            raise UserError(f"{name} from {events[name].min():g} to {events[name].max():g} for {n} places")
    p, y, x = (events.get(name, np.zeros(len(events["x"]))).astype(np.int64) for name in ("p", "y", "x"))
    return (p * shape[-2] + y) * shape[-1] + x


def step_of(time: np.ndarray, dt: float) -> np.ndarray:
    """The step of each time in seconds; within the rounding of the type that holds it, a time is that of its step."""
    steps = time.astype(np.float64) / dt
    nearest = np.rint(steps)
    exact = np.finfo(time.dtype).eps if time.dtype.kind == "f" else 0
    return np.where(np.abs(steps - nearest) <= 2 * max(exact, 1e-9) * np.maximum(nearest, 1), nearest, np.floor(steps))


def _of_nir_data(path: Path, shape: Shape, dt: float) -> Recording:
    try:
        screened(lambda: _observed(path), UNPACKED)
    except UserError as error:
        raise UserError(f"not readable NIRData: {error}") from error
    try:
        observed = _observed(path)
    except DAMAGE as error:
        raise UserError(f"not readable NIRData: {' '.join(str(error).split())[:200]}") from error
    n = int(np.prod(shape))
    grids = {node: _grid(node, held, dt) for node, held in observed.items()}
    inputs = grids.pop(INPUT, None)
    if inputs is None:
        raise UserError(f"its NIRData observes {', '.join(sorted(observed)) or 'nothing'}; a node {INPUT!r} is needed")
    if inputs.shape[1] != n:
        raise UserError(f"inputs of {inputs.shape[1]} values a time step; {n} are needed")
    events = observed[INPUT]["type"] == "EventData" or inputs.dtype == bool
    spikes = {node: grid.astype(np.uint8) for node, grid in grids.items() if grid.dtype == bool}
    return Recording(_checked(inputs, shape), events, spikes)


def _observed(path: Path) -> dict[str, dict[str, Any]]:
    """What the file observes of each node, the first of it, as plain arrays."""
    left, found = UNPACKED, {}
    with h5py.File(path, "r") as file:
        nodes = file["nodes"]
        for name in nodes:
            observables = nodes[name]["observables"]
            chosen = OBSERVED if OBSERVED in observables else next(iter(sorted(observables)), None)
            if chosen is None:
                continue
            group = observables[chosen]
            held: dict[str, Any] = {"type": str(group.attrs["__type__"])}
            for key, item in group.items():
                if not isinstance(group.get(key, getlink=True), h5py.HardLink) or not isinstance(item, h5py.Dataset):
                    raise UserError(f"{group.name}/{key} is a link, or no array")
                if item.is_virtual or item.external or item.dtype.kind not in "fiub":
                    raise UserError(f"{item.name} holds no plain numbers of its own")
                left -= item.size * item.dtype.itemsize
                if left < 0:
                    raise UserError(f"{item.name} of shape {item.shape} unpacks to more than {UNPACKED:,} bytes")
                held[key] = item[()]
            held |= {key: float(group.attrs[key]) for key in NUMBERS if key in group.attrs}
            found[name] = held
    return found


def _grid(node: str, held: dict[str, Any], dt: float) -> np.ndarray:
    """(T, n) of one node; bool where it is events. Raises UserError for what lacks a field or holds another than it
    should, for several samples or another time step."""
    needed = FIELDS.get(held["type"])
    if needed is None:
        raise UserError(f"node {node!r} holds {held['type']}, none of {', '.join(FIELDS)}")
    if missing := [name for name in needed if name not in held]:
        raise UserError(f"node {node!r}: {held['type']} without {' and '.join(missing)}")
    if wrong := [name for name in needed if np.ndim(held[name]) == 0 and not np.isfinite(held[name])]:
        raise UserError(f"node {node!r}: {wrong[0]} is no finite number")
    return _sampled(node, held, dt) if held["type"] == "TimeGriddedData" else _fired(node, held, needed, dt)


def _sampled(node: str, held: dict[str, Any], dt: float) -> np.ndarray:
    """The values of every step."""
    data = held["data"]
    if data.ndim != 3 or len(data) != 1:
        raise UserError(f"node {node!r}: data of shape {data.shape}; one sample (1, T, n) is run at a time")
    if abs(held["dt"] - dt) > 1e-6 * dt:
        raise UserError(f"node {node!r}: steps of {held['dt']:g} s, the network's last {dt:g} s: name the --dt")
    return data[0]


def _fired(node: str, held: dict[str, Any], needed: Sequence[str], dt: float) -> np.ndarray:
    """Events, with a value each or none, on the grid of steps."""
    shapes = {name: np.shape(held[name]) for name in needed if name not in NUMBERS}
    shape = shapes["idx"]
    if len(shape) != 2 or shape[0] != 1:
        raise UserError(f"node {node!r}: {held['type']} of shape {shape}; one sample (1, events) is run at a time")
    if set(shapes.values()) != {shape} or held["idx"].dtype.kind not in "iu":
        raise UserError(f"node {node!r}: {', '.join(shapes)} are not numbers of one length, idx whole")
    index, time, n = held["idx"][0].astype(np.int64), held["time"][0], int(held["n_neurons"])
    last = float(step_of(np.array(held["t_max"]), dt))
    steps = max(1, int(last) + (last * dt < held["t_max"] * (1 - 1e-9)))
    if not 0 < n <= MAX_VALUES or not 0 < steps * n <= VALUES:
        raise UserError(f"node {node!r}: {n:,} neurons over {steps:,} steps are too many")
    valued = held["type"] == "ValuedEventData"
    grid = np.zeros((steps, n), np.float32 if valued else bool)
    there = index >= 0
    at = step_of(time[there], dt)
    if there.any() and not (index[there].max() < n and at.min() >= 0 and at.max() < steps):
        raise UserError(f"node {node!r}: an event lies outside its {n} neurons or its {held['t_max']:g} s")
    grid[at.astype(np.int64), index[there]] = held["value"][0][there] if valued else True
    return grid


def write_nir_data(path: Path, inputs: np.ndarray | None, spikes: dict[str, np.ndarray], dt: float) -> None:
    """Write spikes (T, n) by population, and inputs (T, n), bool where they are spikes, as NIRData of one sample.

    Raises UserError where a population has the name of the inputs.
    """
    kinds = {name: values.astype(bool) for name, values in spikes.items()}
    if inputs is not None:
        if INPUT in kinds:
            raise UserError(f"{path}: a population is named {INPUT!r}, as the inputs of NIRData are here; write a .npz")
        kinds[INPUT] = inputs
    nodes = {name: nir.NIRNodeData({OBSERVED: nir.TimeGriddedData(values[None], dt)}) for name, values in kinds.items()}
    files.write(path, lambda file: nir.write_data(file, nir.NIRGraphData(nodes)), signed=True)


def write_nir_events(sink: Any, events: dict[str, tuple[np.ndarray, np.ndarray, int]], steps: int, dt: float) -> None:
    """Write spikes as NIRData of one sample: by population the steps and neurons (k,) of its spikes, and its size.

    An event lies in the middle of its step, which no rounding moves.
    """
    nodes = {
        name: nir.NIRNodeData(
            {OBSERVED: nir.EventData(which[None], (when[None] + 0.5) * dt, n, steps * dt * (1 + 1e-12))}
        )
        for name, (when, which, n) in events.items()
    }
    nir.write_data(sink, nir.NIRGraphData(nodes))
