"""`info` of our own checkpoints without torch: the same facts, and no shortcut around a damaged or foreign file."""

import subprocess
import sys

import pytest
import torch

import spikegpt
from spikegpt import Config, SpikeGPT, UserError
from spikegpt.outlines import outline
from spikegpt.shipped import shipped


@pytest.fixture
def path(tmp_path):
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), tmp_path / "m.pt", provenance={"text": "t"})
    return tmp_path / "m.pt"


def test_the_outline_is_that_of_the_loaded_model(path):
    for known in (path, *(model.path for model in shipped())):
        found, model = outline(known), spikegpt.load(known)
        assert found["config"] == model.config
        assert found["provenance"] == model.provenance


def test_what_is_not_whole_or_not_ours_takes_a_closer_look(path, tmp_path, run):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.pt").write_bytes(data)
    model = SpikeGPT(Config(256, 1, 16))
    torch.save(model.state_dict(), tmp_path / "state.pt")
    torch.save({"format": "spikegpt-checkpoint-1", "config": {"vocab_size": 9}, "model": {}}, tmp_path / "empty.pt")
    wrong = {**torch.load(path, weights_only=True), "config": Config(256, 2, 16).to_dict()}
    torch.save(wrong, tmp_path / "wrong.pt")
    for name in ("damaged.pt", "state.pt", "empty.pt", "wrong.pt", "none.pt"):
        assert outline(tmp_path / name) is None
    for name in ("damaged.pt", "empty.pt", "wrong.pt"):
        with pytest.raises(UserError):
            spikegpt.load(tmp_path / name)
        assert run("info", tmp_path / name)[0] == 2


@pytest.mark.parametrize(
    "command", [["info", "shipped:kjv"], ["models"], ["profiles"], ["--help"], ["info", "--preset", "45m"]]
)
def test_commands_that_only_look_import_neither_torch_nor_numba(command):
    code = (
        f"import sys; sys.argv = ['spikegpt', *{command!r}]\n"
        "from cli.main import main\n"
        "try: main()\n"
        "except SystemExit as ended: print(ended.code, sorted({'torch', 'numba'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "0 []"
