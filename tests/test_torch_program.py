"""`--target torch`: the exported program is the model, step by step, for any number of streams."""

import json

import numpy as np
import pytest
import torch

import exporters
import spikegpt
from spikegpt import UserError
from tests.conftest import lively_model


@pytest.mark.parametrize("variant, tau", [("spike-driven", 1.0), ("spike-driven", 2.0), ("canonical", 2.0)])
@pytest.mark.parametrize("streams", [1, 3])
def test_the_program_gives_the_logits_and_states_of_the_model(variant, tau, streams, tmp_path):
    model = lively_model(variant, 2, 16) if tau == 2 else lively_model(variant, 2, 16, tau=tau)
    exporters.export(model, "torch", tmp_path / "out")
    program = torch.export.load(tmp_path / "out" / "model.pt2").module()
    told = json.loads((tmp_path / "out" / "state.json").read_text())["states"]
    states = []
    for state in told:
        shape, axis = list(state["shape"]), state["streams_along"]
        shape[axis] *= streams
        start = torch.zeros(shape)
        start[:] = torch.tensor(state["initial"]).reshape(-1, *[1] * (len(shape) - 1)) if axis else state["initial"]
        states.append(start)
    tokens, held = torch.tensor(np.random.default_rng(0).integers(0, 50, (20, streams))), None
    with torch.no_grad():
        for token in tokens:
            logits, *states = program(token, *states)
            expected, held = model.step(token, held)
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
        for state, value in zip(told, states, strict=True):
            torch.testing.assert_close(value, held[state["name"]], rtol=1e-4, atol=1e-5)


def test_a_network_file_has_no_torch_model(tmp_path, run):
    model = lively_model("spike-driven", 1, 8)
    exporters.export(model, "nir", tmp_path / "nir")
    code, out, err = run("export", tmp_path / "nir", "--target", "torch", "--out", tmp_path / "t")
    assert (code, out) == (2, "")
    assert "holds no torch model" in err
    with pytest.raises(UserError, match="holds no torch model"):
        exporters.export(tmp_path / "nir" / "model.nir", "torch", tmp_path / "t")
    assert not (tmp_path / "t").exists()
    spikegpt.save(model, tmp_path / "m.pt")
    assert run("export", tmp_path / "m.pt", "--target", "torch", "--out", tmp_path / "t")[0] == 0
    assert {f.name for f in (tmp_path / "t").iterdir()} == {"model.pt2", "state.json", "manifest.json"}
