"""What the simulator's benchmarks share: contenders that take turns, and models whose populations fire as wished."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from spikegpt.config import preset
from spikegpt.model import Lif, SpikeGPT

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "kjv-spike-driven.pt"


def median(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each contender, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def at_density(model: SpikeGPT, density: float, tokens: torch.Tensor) -> None:
    """Scale what drives each population so that this share of its neurons fires."""

    def scale(lif: Lif, args: tuple) -> tuple:
        quantile = float(torch.quantile(args[0].flatten()[:1_000_000].float(), 1 - density))
        if lif.names[0] == "head_lif":
            model.ln_out.weight.data /= quantile
            model.ln_out.bias.data /= quantile
            return (args[0] / quantile, *args[1:])
        block = model.blocks[int(lif.names[0].split("_")[0].removeprefix("block"))]
        if lif.names[0].endswith("output_lif"):
            block.att.gain.data /= quantile
        elif lif.names[0].endswith("ffn_value_lif"):
            block.ffn.key.weight.data /= quantile
        else:
            norm = block.ln1 if "_att_" in lif.names[0] else block.ln2
            norm.weight.data /= quantile
            norm.bias.data /= quantile
        return (args[0] / quantile, *args[1:])

    hooks = [m.register_forward_pre_hook(scale) for m in model.modules() if isinstance(m, Lif)]
    with torch.no_grad():
        model(tokens)
    for hook in hooks:
        hook.remove()


def random_model(density: float, size: str = "45m", **shape) -> SpikeGPT:
    torch.manual_seed(0)
    model = SpikeGPT(preset(size, **shape)).eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and name.startswith("blocks"):
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    at_density(model, density, torch.randint(0, model.config.vocab_size, (1, 256)))
    return model
