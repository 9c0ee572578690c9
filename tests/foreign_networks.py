"""Write a network of another tool as NIR, with inputs, its spikes and its count in torch.

python foreign_networks.py TOOL FOLDER. A process of its own: the tools warn on import, and nirtorch walks sets.
"""

import json
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
from torch import nn  # noqa: E402

import hw_sim  # noqa: E402

STEPS, WIDTHS = 200, (12, 20, 7)


def linear(i: int, bias: bool) -> nn.Linear:
    layer = nn.Linear(WIDTHS[i], WIDTHS[i + 1], bias=bias)
    nn.init.normal_(layer.weight, std=1.5 / WIDTHS[i] ** 0.5)
    return layer


def snntorch_chain():
    import snntorch
    from snntorch.export_nir import export_to_nir

    def leaky(n: int, beta: float):
        return snntorch.Leaky(
            torch.full((n,), beta), threshold=torch.ones(n), reset_mechanism="zero", reset_delay=False, init_hidden=True
        )

    layers = [linear(0, True), leaky(WIDTHS[1], 0.9), linear(1, False), leaky(WIDTHS[2], 0.5)]
    return layers, nn.Sequential(*layers), lambda net, x: export_to_nir(net, x)


def norse_chain():
    import norse.torch as norse

    layers = [linear(0, True), norse.LIFBoxCell(), linear(1, True), norse.LIFBoxCell()]
    layers[0].weight.data *= 4  # its neurons let a tenth of the input in
    layers[2].weight.data *= 20
    return layers, norse.SequentialState(*layers), lambda net, x: norse.to_nir(net, x)


def spikingjelly_chain():
    from spikingjelly.activation_based import neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    layers = [linear(0, True), neuron.LIFNode(tau=2.0), linear(1, False), neuron.LIFNode(tau=3.0, decay_input=False)]
    layers[2].weight.data *= 3
    return layers, nn.Sequential(*layers), lambda net, x: export_to_nir(net, x[None])


CHAINS = {"snntorch": snntorch_chain, "norse": norse_chain, "spikingjelly": spikingjelly_chain}


@torch.no_grad()
def main(tool: str, folder: Path) -> None:
    torch.manual_seed(1)
    x = torch.rand(STEPS, WIDTHS[0])
    layers, net, to_nir = CHAINS[tool]()
    with redirect_stdout(StringIO()):
        graph = to_nir(net, x[0])
    names = [name for name, node in graph.nodes.items() if isinstance(node, nir.LIF)]
    spikes: dict[str, list] = {name: [] for name in names}
    states = [None, None]
    for row in x:
        y = row[None]
        for i in (0, 1):
            y = layers[2 * i](y)
            neuron = layers[2 * i + 1]
            if tool == "norse":
                y, states[i] = neuron(y, states[i])
            else:
                y = neuron(y)
            spikes[names[i]].append(y[0].numpy().astype(np.uint8))
    nir.write(folder / f"{tool}.nir", graph, compression=None)
    np.savez(folder / f"{tool}.npz", input=x.numpy(), **{name: np.array(rows) for name, rows in spikes.items()})
    torch.manual_seed(1)
    x = torch.rand(STEPS, WIDTHS[0])
    fresh = CHAINS[tool]()[1]  # the same weights, no state
    counted = hw_sim.count(fresh, x[:, None], steps=STEPS)
    (folder / f"{tool}.json").write_text(json.dumps(counted.to_dict()))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
