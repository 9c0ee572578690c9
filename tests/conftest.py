"""Small models with lively spikes, one a variant; tests that need what is not here skip, or fail if told to."""

import os
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.main import main
from spikegpt import Config, SpikeGPT
from spikegpt.config import VARIANTS

VOCAB = 50
OLD = "spike-driven, first form"  # norms in front of the shift, a head that reads real numbers
os.environ.pop("COLUMNS", None)  # where a shell exports it, sentences would be folded at it
os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton reads it at its first import: GPU programs run on the CPU
REQUIRED = "SPIKEGPT_REQUIRE"  # names of NEEDS: a test that needs one of them fails where it would be skipped
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# An environment that holds lava-nc alone, as on a Loihi host; `make` fills it where a Python 3.10 is present.
PYTHON310 = Path(os.environ.get("SPIKEGPT_LAVA_PYTHON", Path(sys.prefix) / "lava310" / "bin" / "python"))
NEEDS = {
    "lava": ("lava-nc is not installed", find_spec("lava") is not None),
    "browser": ("no Chromium on this machine", BROWSER is not None),
    "python310": ("no Python 3.10 with its own environment is present", PYTHON310.exists()),
}


def as_in_a_terminal() -> None:
    """Under nohup, or behind an &, signals are ignored, and children would inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def pytest_runtest_setup(item) -> None:
    required = os.environ.get(REQUIRED, "").split()
    for need, (missing, present) in NEEDS.items():
        if item.get_closest_marker(need) and not present:
            if need in required:
                pytest.fail(f"{missing}, and {REQUIRED} names {need}")
            pytest.skip(missing)


def lively_model(
    variant: str, n_layer: int = 2, n_embd: int = 24, tau: float | None = None, seed: int = 0, old: bool = False
) -> SpikeGPT:
    """A random model whose matrices are large enough that every population fires.

    "spike-driven" is the newest form, all of whose neurons are memoryless; OLD (or `old`, or another tau) the first.
    """
    torch.manual_seed(seed)
    old, variant = old or variant == OLD, "spike-driven" if variant == OLD else variant
    new = variant == "spike-driven" and not old and tau in (None, 1.0)
    tau = tau or (1.0 if variant == "spike-driven" else 2.0)
    config = Config(VOCAB, n_layer, n_embd, variant, lif_tau=tau, ctx_len=64, spiking_head=new, late_norms=new)
    model = SpikeGPT(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=2 / np.sqrt(parameter.shape[1]))
        elif not new and "ln" in name:  # no bare norm, whose weight and bias are not looked at
            parameter.data += 0.01
        elif new and ("ln" in name or "gain" in name):  # what is folded is to matter
            torch.nn.init.normal_(parameter, 1.5 if name.endswith("weight") else 0.2, 0.3)
            if "gain" in name:
                parameter.data += 3
    return model.eval()


@pytest.fixture(params=[*VARIANTS, OLD])
def model(request) -> SpikeGPT:
    return lively_model(request.param)


@pytest.fixture(params=["spike-driven", OLD])
def spiking_model(request) -> SpikeGPT:
    return lively_model(request.param)


@pytest.fixture
def tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(0, VOCAB, 120)


def torch_run(model: SpikeGPT, tokens: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits (T, V) and spikes {population: (T, n)} of one stream."""
    taps: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        logits, _ = model.run(torch.from_numpy(tokens)[None], None, taps)
    return logits[0].numpy(), {name: train[0].numpy() for name, train in taps.items()}


@pytest.fixture
def run(monkeypatch, capfd):
    """Call the command line in this process; returns (exit code, standard output, standard error)."""

    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spikegpt", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call
