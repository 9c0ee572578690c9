"""What happened token by token, streamed to disk: spikes as address events, synaptic operations, chosen membranes."""

import shutil
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hw_sim.counts.counts import Result, fan_outs
from hw_sim.graph.extensions import DT
from hw_sim.graph.recordings import write_nir_events
from hw_sim.plan import Plan
from hw_sim.run.simulator import CHUNK
from spikegpt import files
from spikegpt.errors import UserError, nearest
from spikegpt.temporaries import made, temporary

NIR_DATA = (".h5", ".hdf5")


class Trace:
    """Writes an `.npz` as a context manager, in memory that does not grow with the text; or NIRData (`.h5`, `.hdf5`),
    the spikes of each population as events, held in memory at the end.

    The `.npz` holds `token` and `neuron` (one entry a spike, in order of time: when and which, counted over all
    populations), `populations` (names) and `starts` (first neuron of each), `synops` (T,) binary synaptic operations of
    every token, and, for the neurons named in `membranes` ("POPULATION:INDEX"), `membranes` (T, k) after every token,
    as the plan holds them, and `membrane_of` (names). Raises UserError for a neuron that is not there, and for
    membranes in NIRData.
    """

    def __init__(self, plan: Plan, path: Path, membranes: Sequence[str] = ()):
        if membranes and path.suffix in NIR_DATA:
            raise UserError(f"{path}: NIRData here holds spikes; --membrane goes into a .npz")
        self.plan, self.path, self.membrane_of = plan, path, tuple(membranes)
        self.names = [p.name for p in plan.populations]
        self.starts = np.array([p.first for p in plan.populations], np.int64)
        self.places = np.array([_place(name, plan) for name in membranes], np.int64)
        self.fan_out = np.zeros(plan.n_events, np.int64)
        for i in plan.matrices:
            if plan.operation(i).listens:
                self.fan_out[plan.listened(i).place] += fan_outs(plan, i)
        self.piece = 1 if membranes else CHUNK  # the state is seen between two runs
        self.tokens = 0

    def __enter__(self) -> "Trace":
        self.stack = ExitStack()
        self.stack.enter_context(made(self.path.parent))
        folder = self.stack.enter_context(temporary(self.path.parent, self.path.name, directory=True))
        kinds = {"token": np.int64, "neuron": np.int32, "synops": np.int64, "membranes": self.membrane_dtype}
        self.files: dict[str, tuple[Any, np.dtype]] = {
            name: (self.stack.enter_context((folder / name).open("w+b")), np.dtype(kind))
            for name, kind in kinds.items()
        }
        return self

    @property
    def membrane_dtype(self) -> type:
        return np.int64 if self.plan.integer else np.float32

    def add(self, result: Result, state: np.ndarray) -> None:
        """Append a run of `piece` tokens or fewer, after which the state is `state`."""
        nothing = np.zeros((len(result.logits), 0), np.uint8)  # a network may have no neurons
        raster = np.concatenate([nothing, *(result.spikes[name] for name in self.names)], axis=1)
        when, which = np.nonzero(raster)
        self._write("token", when + self.tokens)
        self._write("neuron", which)
        self._write("synops", raster @ self.fan_out)
        self._write("membranes", state[self.places])
        self.tokens += len(raster)

    def _write(self, name: str, values: np.ndarray) -> None:
        file, kind = self.files[name]
        file.write(np.ascontiguousarray(values, kind).tobytes())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self.stack.__exit__(kind, error, at)
            return
        with self.stack:
            files.write(self.path, self._pack_nir if self.path.suffix in NIR_DATA else self._pack, signed=True)

    def _pack_nir(self, sink: Any) -> None:
        when, which = (self._read(name) for name in ("token", "neuron"))
        inside = [(p, (which >= p.first) & (which < p.first + p.neurons)) for p in self.plan.populations]
        events = {p.name: (when[here], which[here] - p.first, p.neurons) for p, here in inside}
        write_nir_events(sink, events, self.tokens, DT)

    def _read(self, name: str) -> np.ndarray:
        file, kind = self.files[name]
        file.flush()
        return np.fromfile(file.name, kind)

    def _pack(self, sink: Any) -> None:
        small = {"populations": np.array(self.names), "starts": self.starts, "membrane_of": np.array(self.membrane_of)}
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            for name, (file, kind) in self.files.items():
                shape: tuple[int, ...] = (file.tell() // kind.itemsize,)
                if name == "membranes":
                    shape = (self.tokens, len(self.places))
                header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
                file.seek(0)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array_header_2_0(entry, header)
                    shutil.copyfileobj(file, entry, 1 << 20)
            for name, values in small.items():
                with archive.open(f"{name}.npy", "w") as entry:
                    np.lib.format.write_array(entry, values)


def _place(name: str, plan: Plan) -> int:
    """Where a neuron's membrane lies in the state."""
    called, _, index = name.rpartition(":")
    population = next((p for p in plan.populations if p.name == called), None)
    if population is None or not index.isdecimal() or int(index) >= population.neurons:
        names = sorted(p.name for p in plan.populations)
        known = f"there are neurons 0 to {population.neurons - 1}" if population else nearest(called or name, names)
        raise UserError(f"no neuron {name!r} (POPULATION:INDEX): {known}")
    return plan.held(population.row).start + int(index)
