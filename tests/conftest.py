"""Small models with lively spikes, one a variant; `lava` tests skip without lava-nc, or fail if told to."""

import os
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
LAVA_CHILDREN = (b"exporters.loihi.lava.blocks.worker", b"exporters.loihi.lava.standard", b"tests.lava_chain")


def pytest_runtest_setup(item) -> None:
    if item.get_closest_marker("lava") and find_spec("lava") is None:
        if os.environ.get("SPIKEGPT_REQUIRE_LAVA"):
            pytest.fail("lava-nc is not installed, and SPIKEGPT_REQUIRE_LAVA is set")
        pytest.skip("lava-nc is not installed")


def leftovers() -> set[str]:
    """Shared memory and children that run Lava, which exist now."""
    found = {f"shm {name}" for name in Path("/dev/shm").iterdir()}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if any(name in command for name in LAVA_CHILDREN):
            found.add(f"process {process.name}")
    return found


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
