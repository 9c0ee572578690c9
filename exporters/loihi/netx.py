"""Network-exchange files of lava-dl: each int8 matrix between spikes and a LIF, as one HDF5 that `netx` loads.

Layout read by lava-dl 0.6.0 (lava/lib/dl/netx/hdf5.py): /layer/<i> with type, shape, weight, neuron. Its loader hands
vThMant to Lava's LIF as it is, so the thresholds are arrays (n,): the scale of every output channel is in there, and
the file is exact. netx holds chains alone; everything else of the model is in the integer plan.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hw_sim.plan import Op, Plan
from hw_sim.plan.fixed_point import DECAY_BITS
from spikegpt import files

NO_CURRENT_MEMORY = 4096  # iDecay: the loader gives Lava du = iDecay - 1, and 4095 forgets at every step


@dataclass(frozen=True)
class Chain:
    """Spikes of `source` -> int8 `weight` (n_out, n_in) -> LIF `name` with one decay and a threshold a neuron."""

    source: str
    matrix: str
    name: str
    weight: np.ndarray
    decay: int
    threshold: np.ndarray


def chains(plan: Plan) -> tuple[Chain, ...]:
    """The stretches of an integer plan that netx can hold: spikes into a matrix whose sum only a LIF reads.

    Left out are LIFs of several decays and matrices of zeros alone, which lava-dl cannot load.
    """
    found = []
    for i in plan.matrices:
        j = sole_lif(plan, i)
        if not plan.operation(i).listens or j is None:
            continue
        weight, (decay, threshold) = plan.matrix(i).T, plan.parameters(j)
        if np.all(decay == decay[0]) and weight.any():
            source = plan.listened(i).name
            found.append(Chain(source, plan.names[i], plan.names[j], weight, int(decay[0]), threshold))
    return tuple(found)


def sole_lif(plan: Plan, i: int) -> int | None:
    """The row of the LIF that reads all that row i leaves at its y, None where another row reads it."""
    population = plan.driven(i)
    if population is None or plan.readers[i] != (population.row,) or population.neurons != plan.row(i).n_out:
        return None
    return population.row if plan.row(population.row).op == Op.LIF else None  # the one neuron that a .net file spells


def write_nets(plan: Plan, folder: Path) -> list[dict]:
    """Write <matrix>.net for every chain; returns what each holds."""
    facts = []
    for chain in chains(plan):
        folder.mkdir(exist_ok=True)
        path = folder / f"{chain.matrix}.net"
        files.write(path, partial(_write, chain))
        facts.append({"file": path.name, "spikes_of": chain.source, "matrix": chain.matrix, "lif": chain.name,
                      "synapses": chain.weight.size, "decay": chain.decay / (1 << DECAY_BITS)})  # fmt: skip
    return facts


def _write(chain: Chain, sink: Any) -> None:
    with h5py.File(sink, "w") as file:
        layers = file.create_group("layer")
        _store(layers, "0", {"type": b"input", "shape": np.array([chain.weight.shape[1]])})
        neuron = {
            "type": b"CUBA",
            "iDecay": NO_CURRENT_MEMORY,
            "vDecay": chain.decay,
            "vThMant": chain.threshold,
            "refDelay": 1,
            "gradedSpike": 0,
        }
        n_out, n_in = chain.weight.shape
        dense = {"shape": np.array([n_out]), "inFeatures": n_in, "outFeatures": n_out, "weight": chain.weight}
        _store(layers, "1", {"type": b"dense", **dense, "neuron": neuron})


def _store(parent: h5py.Group, name: str, values: dict) -> None:
    group = parent.create_group(name)
    for key, value in values.items():
        if isinstance(value, dict):
            _store(group, key, value)
        elif isinstance(value, bytes):
            group.create_dataset(key, data=np.array([value]), track_times=False)
        else:
            group.create_dataset(key, data=value, track_times=False)
