"""Training speed: our fused kernels against the plain PyTorch loop and other libraries' LIFs, in the same model.

    python bench/train.py [--layers 4 --width 512 --ctx 256 --batch 8] [--bf16] [--json]

One process, forward + backward + nothing else, canonical variant (tau = 2), medians over rounds in which all
contenders take turns. Needs spikingjelly (`pip install --no-deps spikingjelly`) for its row; it is left out otherwise.
"""

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import snntorch
import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from spikegpt import Config, SpikeGPT, kernels
from spikegpt.kernels.reference import lif_loop, token_shift_loop, wkv_loop

OURS = "ours"


def snntorch_lif(x, v, tau, threshold):
    """snntorch.Leaky with reset to zero; v += (x - v) / tau is beta = 1 - 1 / tau fed x / tau."""
    below = float(np.nextafter(np.float32(threshold), np.float32(0)))
    cell = snntorch.Leaky(
        beta=1 - 1 / tau,
        threshold=below,
        spike_grad=snntorch.surrogate.atan(),
        reset_mechanism="zero",
        reset_delay=False,
    )
    spikes = []
    for current in (x / tau).unbind(1):
        s, v = cell(current, v)
        spikes.append(s)
    return torch.stack(spikes, 1), v.detach()


def spikingjelly_lif(x, v, tau, threshold):
    """spikingjelly's multi-step LIFNode, torch back end, fed (T, R, C)."""
    from spikingjelly.activation_based import neuron, surrogate

    node = neuron.LIFNode(
        tau=tau, v_threshold=threshold, v_reset=0.0, surrogate_function=surrogate.ATan(), step_mode="m"
    )
    return node(x.transpose(0, 1)).transpose(0, 1), v


def contenders() -> dict[str, dict[str, Callable]]:
    """By name, which functions of spikegpt.model are replaced."""
    found = {
        OURS: {},
        "plain PyTorch loop": {"lif": lif_loop, "wkv": wkv_loop, "token_shift": token_shift_loop},
        "snntorch LIF, our WKV": {"lif": snntorch_lif},
    }
    if importlib.util.find_spec("spikingjelly"):
        found["spikingjelly LIF, our WKV"] = {"lif": spikingjelly_lif}
    return found


def step(model: SpikeGPT, text: torch.Tensor, bf16: bool) -> None:
    """Forward and backward of one batch."""
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(text[:, :-1])
    functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten()).backward()


def kernel_share(model: SpikeGPT, text: torch.Tensor, bf16: bool) -> float:
    """Share of a step's time that our LIF and WKV take, forward and backward."""
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for _ in range(3):
            step(model, text, bf16)
    times = {event.key: event.self_cpu_time_total for event in record.key_averages()}
    return sum(times.get(name, 0) for name in ("_LIF", "_LIFBackward", "_WKV", "_WKVBackward")) / sum(times.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("layers", 4), ("width", 512), ("ctx", 256), ("batch", 8), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--bf16", action="store_true", help="matrix products in bfloat16, on every side")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = SpikeGPT(Config(256, args.layers, args.width, "canonical", lif_tau=2.0))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=args.width**-0.5)
    text = torch.randint(0, 256, (args.batch, args.ctx + 1))
    times: dict[str, list[float]] = {name: [] for name in contenders()}
    for round_ in range(args.rounds + 1):  # the first warms up
        for name, replaced in contenders().items():
            with mock.patch.multiple("spikegpt.model", **(replaced or {"lif": kernels.lif})):
                started = time.perf_counter()
                step(model, text, args.bf16)
            if round_:
                times[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) for name, values in times.items()}
    tokens = args.batch * args.ctx
    result = {
        "shape": {k: getattr(args, k) for k in ("layers", "width", "ctx", "batch")},
        "threads": torch.get_num_threads(),
        "tokens_per_s": {name: tokens / t for name, t in median.items()},
        "ratio_ours_over": {name: t / median[OURS] for name, t in median.items() if name != OURS},
        "lif_and_wkv_share": kernel_share(model, text, args.bf16),
    }
    if args.json:
        print(json.dumps(result))
        return
    for name, speed in result["tokens_per_s"].items():
        print(f"{name:28} {speed:10,.0f} tokens/s   ours is {median[name] / median[OURS]:6.2f}x as fast")
    print(f"LIF and WKV take {result['lif_and_wkv_share']:.1%} of our step")


if __name__ == "__main__":
    main()
