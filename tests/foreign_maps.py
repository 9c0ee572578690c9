"""Write random convolutional networks of SpikingJelly as NIR, with inputs and its spikes: foreign_maps.py FOLDER SEED..

snnTorch 1.0 and norse 1.1 write no network with a convolution: nir's inference of types fails on the batch of the
first, h5py on what the second leaves empty.
"""

import logging
import sys
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import nir  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from spikingjelly.activation_based import functional, neuron  # noqa: E402
from spikingjelly.activation_based.nir_exchange import export_to_nir  # noqa: E402
from torch import nn  # noqa: E402

STEPS, CLASSES = 60, 5


def network(seed: int, side: int) -> list[nn.Module]:
    """Convolution, neurons, perhaps a pool, a matrix, neurons: drawn from the seed."""
    drawn = np.random.default_rng(seed)
    channels, kernel, stride, padding = (int(drawn.integers(*ends)) for ends in ((2, 7), (2, 4), (1, 3), (0, 2)))
    conv = nn.Conv2d(2, channels, kernel, stride=stride, padding=padding, bias=bool(drawn.integers(2)))
    nn.init.normal_(conv.weight, std=2 / (2 * kernel**2) ** 0.5)
    first = neuron.IFNode() if drawn.integers(2) else neuron.LIFNode(tau=2.0)
    out = (side + 2 * padding - kernel) // stride + 1
    pool = [nn.AvgPool2d(2)] if drawn.integers(2) else []
    wide = channels * (out // 2 if pool else out) ** 2
    fc = nn.Linear(wide, CLASSES, bias=bool(drawn.integers(2)))
    nn.init.normal_(fc.weight, std=6 / wide**0.5)
    return [conv, first, *pool, nn.Flatten(), fc, neuron.LIFNode(tau=2.5, decay_input=bool(drawn.integers(2)))]


@torch.no_grad()
def main(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    side = 7 + seed % 4
    x = (torch.rand(STEPS, 1, 2, side, side) < 0.3).float()
    layers = network(seed, side)
    whole = nn.Sequential(*layers)
    with redirect_stdout(StringIO()):
        graph = export_to_nir(whole, x[0])
    functional.reset_net(whole)
    names = [name for name, node in graph.nodes.items() if isinstance(node, nir.LIF | nir.IF)]
    spikes: dict[str, list] = {name: [] for name in names}
    for y in x:
        firing = iter(names)
        for layer in layers:
            y = layer(y)
            if isinstance(layer, neuron.BaseNode):
                spikes[next(firing)].append(y[0].numpy().reshape(-1).astype(np.uint8))
    nir.write(folder / f"{seed}.nir", graph, compression=None)
    rows = {name: np.array(train) for name, train in spikes.items()}
    np.savez(folder / f"{seed}.npz", input=x.numpy().reshape(STEPS, -1), **rows)


if __name__ == "__main__":
    for seed in sys.argv[2:]:
        main(Path(sys.argv[1]), int(seed))
