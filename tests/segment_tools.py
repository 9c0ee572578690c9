"""Run every segment of a folder in one other tool and print its mismatches: python segment_tools.py FOLDER TOOL.

A process of its own, so that PYTHONHASHSEED can be set: nirtorch walks sets.
"""

import json
import logging
import sys
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

warnings.simplefilter("ignore")  # the tools' own deprecations
logging.disable(logging.WARNING)

import nir  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

DT = 1e-4


def snntorch_network(graph: nir.NIRGraph) -> torch.nn.Module:
    from snntorch.import_nir import import_from_nir

    return import_from_nir(graph)


def norse_network(graph: nir.NIRGraph) -> torch.nn.Module:
    import norse.torch

    return norse.torch.from_nir(graph, dt=DT)


def spikingjelly_network(graph: nir.NIRGraph) -> torch.nn.Module:
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return import_from_nir(graph, dt=DT)


TOOLS = {"snntorch": snntorch_network, "norse": norse_network, "spikingjelly": spikingjelly_network}


@torch.no_grad()
def compare(path: Path, tool: str) -> dict:
    """Mismatching and compared spikes of one segment, and the largest relative difference of its output."""
    record = np.load(path.with_suffix(".npz"))
    with redirect_stdout(StringIO()):  # the importers talk
        network = TOOLS[tool](nir.read(path)).eval()
    populations = [name for name in record.files if name not in ("input", "output")]
    seen: dict[str, list[np.ndarray]] = {name: [] for name in populations}

    def keep(name: str):
        return lambda module, args, out: seen[name].append((out[0] if isinstance(out, tuple) else out)[0].numpy())

    modules = dict(network.named_modules())
    for name in populations:
        modules[name].register_forward_hook(keep(name))
    state, outputs = None, []
    for x in torch.from_numpy(record["input"]):
        y, state = network(x[None], state)
        outputs.append(y[0].numpy())
    difference = np.abs(np.array(outputs) - record["output"]).max() / max(1.0, np.abs(record["output"]).max())
    return {
        "mismatches": sum(int((np.array(seen[name]) != record[name]).sum()) for name in populations),
        "spikes": sum(int(record[name].sum()) for name in populations),
        "positions": sum(record[name].size for name in populations),
        "output_difference": float(difference),
    }


if __name__ == "__main__":
    folder, tool = sys.argv[1:]
    print(json.dumps({path.stem: compare(path, tool) for path in sorted(Path(folder).glob("*.nir"))}))
