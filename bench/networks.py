"""A spiking convolutional network, event by event, against SpikingJelly's dense run of it: both here, in one process.

    python -m bench.networks NETWORK.nir [--steps 100] [--density 0.05] [--runs 7]

The network is a chain of Conv2d, SumPool2d, Flatten, Affine and IF. SpikingJelly runs it step by step and all steps at
once, each with one and with all threads; the ratio is to the best of these. Times are CPU seconds of the process for
one thread and wall seconds for several, medians of the runs.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import nir
import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron

from hw_sim import Simulator
from hw_sim.graph.foreign import drive, read_foreign
from hw_sim.graph.wiring import Wiring


def as_spikingjelly(graph: nir.NIRGraph) -> torch.nn.Sequential:
    """The chain in SpikingJelly's layers; its neurons fire at the threshold, NIR's above it."""
    made: list[torch.nn.Module] = []
    for name in Wiring(graph).order:
        node = graph.nodes[name]
        if isinstance(node, nir.Conv2d):
            out, inside, *kernel = node.weight.shape
            place = [tuple(int(v) for v in np.ravel(getattr(node, f))) for f in ("stride", "padding", "dilation")]
            made.append(layer.Conv2d(inside, out, tuple(kernel), *place, bias=True))
            made[-1].weight.data, made[-1].bias.data = map(torch.tensor, (node.weight, node.bias))
        elif isinstance(node, nir.SumPool2d):
            kernel = tuple(int(v) for v in node.kernel_size)
            made.append(layer.AvgPool2d(kernel, tuple(int(v) for v in node.stride), divisor_override=1))
        elif isinstance(node, nir.Flatten):
            made.append(layer.Flatten())
        elif isinstance(node, nir.Affine):
            made.append(layer.Linear(node.weight.shape[1], node.weight.shape[0]))
            made[-1].weight.data, made[-1].bias.data = map(torch.tensor, (node.weight, node.bias))
        elif isinstance(node, nir.IF):
            made.append(neuron.IFNode(float(node.v_threshold.flat[0])))
    return torch.nn.Sequential(*made).eval()


def median(runs: int, clock: Callable[[], float], work: Callable[[], object]) -> float:
    """Seconds of `work`, the median of so many runs after one that is not counted."""
    work()
    found = []
    for _ in range(runs):
        start = clock()
        work()
        found.append(clock() - start)
    return statistics.median(found)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--density", type=float, default=0.05)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    graph = read_foreign(args.network)
    dense = as_spikingjelly(nir.read(args.network))
    shape = next(n for n in nir.read(args.network).nodes.values() if isinstance(n, nir.Input)).input_type["input"]
    inputs = (np.random.default_rng(0).random((args.steps, *shape)) < args.density).astype(np.float32)
    x = torch.tensor(inputs)[:, None]
    steps, simulator = np.arange(args.steps), Simulator.from_nir(drive(graph, inputs), threads=1)

    def ours() -> None:
        simulator.reset()
        simulator.run(steps)

    def theirs(mode: str) -> torch.Tensor:
        functional.reset_net(dense)
        functional.set_step_mode(dense, mode)
        return dense(x) if mode == "m" else torch.stack([dense(row) for row in x])

    result = simulator.run(steps)
    times = {"event by event": median(args.runs, time.process_time, ours)}
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        for mode, how in (("s", "step by step"), ("m", "all steps at once")):
            clock = time.process_time if threads == 1 else time.perf_counter
            times[f"SpikingJelly, {how}, {threads} threads"] = median(args.runs, clock, lambda mode=mode: theirs(mode))
    fired = int(theirs("s").sum())
    for name, seconds in times.items():
        print(f"{name:45} {seconds * 1e3:8.2f} ms")
    best = min(seconds for name, seconds in times.items() if name.startswith("SpikingJelly"))
    print(f"{best / times['event by event']:.1f} times the best of SpikingJelly")
    print(f"output spikes: {result.logits.sum():.0f} here, {fired} there; {result.synops:,} accumulates, "
          f"{result.graded:,} graded, {result.macs:,} on the input, of {result.dense:,} dense")  # fmt: skip


if __name__ == "__main__":
    main()
