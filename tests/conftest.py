"""Small models with lively spikes, one a variant; tests that need what is not here skip, or fail if told to."""

import os
import shutil
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
REQUIRED = "SPIKEGPT_REQUIRE"  # names of NEEDS: a test that needs one of them fails where it would be skipped
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# An environment that holds lava-nc alone, as on a Loihi host; `make` fills it where a Python 3.10 is present.
PYTHON310 = Path(os.environ.get("SPIKEGPT_LAVA_PYTHON", Path(sys.prefix) / "lava310" / "bin" / "python"))
NEEDS = {
    "lava": ("lava-nc is not installed", find_spec("lava") is not None),
    "browser": ("no Chromium on this machine", BROWSER is not None),
    "python310": ("no Python 3.10 with its own environment is present", PYTHON310.exists()),
}


def pytest_runtest_setup(item) -> None:
    required = os.environ.get(REQUIRED, "").split()
    for need, (missing, present) in NEEDS.items():
        if item.get_closest_marker(need) and not present:
            if need in required:
                pytest.fail(f"{missing}, and {REQUIRED} names {need}")
            pytest.skip(missing)


def lively_model(variant: str, n_layer: int = 2, n_embd: int = 24, tau: float | None = None, seed: int = 0) -> SpikeGPT:
    """A random model whose matrices are large enough that every population fires."""
    torch.manual_seed(seed)
    tau = tau or (1.0 if variant == "spike-driven" else 2.0)
    model = SpikeGPT(Config(VOCAB, n_layer, n_embd, variant, lif_tau=tau, ctx_len=64))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=2 / np.sqrt(parameter.shape[1]))
    return model.eval()


@pytest.fixture(params=VARIANTS)
def model(request) -> SpikeGPT:
    return lively_model(request.param)


@pytest.fixture
def spiking_model() -> SpikeGPT:
    return lively_model("spike-driven")


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
