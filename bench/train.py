"""Training speed: our fused kernels against the plain PyTorch loop and other libraries' LIFs, in the same model.

    python bench/train.py [--layers 4 --width 512 --ctx 256 --batch 8] [--device cuda] [--bf16] [--json]

One process, forward + backward + nothing else, canonical variant (tau = 2), medians over rounds in which all
contenders take turns. `torch.compile` is given the loops in windows of 32 steps: it unrolls them, and takes 1.5 s a
step for WKV to do so. Needs spikingjelly (`pip install --no-deps spikingjelly`) for its row; it is left out otherwise.
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
WINDOW = 32  # steps that torch.compile unrolls
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "mkldnn::_linear_pointwise")


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


def compiled_lif() -> Callable:
    """`lif_loop` by torch.compile."""
    compiled = torch.compile(lif_loop, dynamic=False)

    def lif(x, v, tau, threshold):
        spikes = []
        for part in x.split(WINDOW, 1):
            s, v = compiled(part.contiguous(), v, tau, threshold)
            spikes.append(s)
        return torch.cat(spikes, 1), v

    return lif


def compiled_wkv() -> Callable:
    """`wkv_loop` by torch.compile."""
    compiled = torch.compile(wkv_loop, dynamic=False)

    def wkv(w, u, k, v, state):
        ys = []
        for keys, values in zip(k.split(WINDOW, 1), v.split(WINDOW, 1), strict=True):
            y, state = compiled(w, u, keys.contiguous(), values.contiguous(), state)
            ys.append(y)
        return torch.cat(ys, 1), state

    return wkv


def contenders() -> dict[str, dict[str, Callable]]:
    """By name, which functions of spikegpt.model are replaced."""
    found = {
        OURS: {},
        "plain PyTorch loop": {"lif": lif_loop, "wkv": wkv_loop, "token_shift": token_shift_loop},
        f"loops by torch.compile, {WINDOW} steps": {
            "lif": compiled_lif(),
            "wkv": compiled_wkv(),
            "token_shift": torch.compile(token_shift_loop, dynamic=False),
        },
        "snntorch LIF, our WKV": {"lif": snntorch_lif},
    }
    if importlib.util.find_spec("spikingjelly"):
        found["spikingjelly LIF, our WKV"] = {"lif": spikingjelly_lif}
    return found


def step(model: SpikeGPT, text: torch.Tensor, bf16: bool) -> None:
    """Forward and backward of one batch."""
    model.zero_grad()
    with torch.autocast(text.device.type, torch.bfloat16, enabled=bf16):
        logits = model(text[:, :-1])
    functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten()).backward()
    if text.is_cuda:
        torch.cuda.synchronize()


def shares(model: SpikeGPT, text: torch.Tensor, bf16: bool) -> dict[str, float]:
    """Shares of a step's time, forward and backward: our LIF and WKV, and all that is no matrix product."""
    activity, field = (
        (ProfilerActivity.CUDA, "self_device_time_total")
        if text.is_cuda
        else (ProfilerActivity.CPU, "self_cpu_time_total")
    )
    with profile(activities=list({ProfilerActivity.CPU, activity})) as record:
        for _ in range(3):
            step(model, text, bf16)
    times = {event.key: getattr(event, field) for event in record.key_averages()}
    whole = sum(times.values())
    kernels_ = sum(times.get(name, 0) for name in ("_LIF", "_LIFBackward", "_WKV", "_WKVBackward"))
    return {"lif_and_wkv": kernels_ / whole, "outside_products": 1 - sum(times.get(p, 0) for p in PRODUCTS) / whole}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("layers", 4), ("width", 512), ("ctx", 256), ("batch", 8), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="matrix products in bfloat16, on every side")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = SpikeGPT(Config(256, args.layers, args.width, "canonical", lif_tau=2.0))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=args.width**-0.5)
    model.to(args.device)
    text = torch.randint(0, 256, (args.batch, args.ctx + 1), device=args.device)
    rivals = contenders()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for round_ in range(args.rounds + 1):  # the first warms up
        for name, replaced in rivals.items():
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
        "shares": shares(model, text, args.bf16),
    }
    if args.json:
        print(json.dumps(result))
        return
    for name, speed in result["tokens_per_s"].items():
        print(f"{name:28} {speed:10,.0f} tokens/s   ours is {median[name] / median[OURS]:6.2f}x as fast")
    for what, share in result["shares"].items():
        print(f"{what} {share:.1%} of our step")


if __name__ == "__main__":
    main()
