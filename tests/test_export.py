"""Exports are whole or absent, the same bytes each time, and refuse what no target can take."""

import json
import os
import subprocess
import sys

import pytest

from exporters import nir as exporter
from exporters import targets
from hw_sim.graph.quantize import quantize
from spikegpt import UserError, folders
from tests.conftest import lively_model


def test_same_checkpoint_gives_the_same_bytes_under_any_hash_seed(request, tmp_path):
    model = request.config.rootpath / "models" / "kjv-spike-driven.pt"
    code = "import sys; from cli.main import main; sys.argv[0] = 'spikegpt'; main()"
    digests = []
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, "export", str(model), "--target", "nir", "--out", str(tmp_path / seed)]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
        digests.append((tmp_path / seed / "manifest.json").read_bytes())
    assert digests[0] == digests[1]  # it holds the digest of every file
    files = json.loads(digests[0])["files"]
    assert files["model.nir"] == targets.digest(tmp_path / "1" / "model.nir")


@pytest.mark.parametrize("target", sorted(targets.TARGETS.keys() - {"torch"}))  # which is made of no graph
def test_an_interrupted_export_leaves_the_old_one(target, spiking_model, tmp_path, monkeypatch):
    graph = exporter.export(spiking_model)
    targets.export_to(target, graph, tmp_path / "out")
    before = {f: f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()}

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(folders, "digest", interrupt)  # the last step: all else has been written
    with pytest.raises(KeyboardInterrupt):
        targets.export_to(target, graph, tmp_path / "out")
    assert before == {f: f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()}
    assert [f.name for f in tmp_path.iterdir()] == ["out"]


def test_a_graph_that_is_int8_already_is_refused(tmp_path):
    graph = quantize(exporter.export(lively_model("canonical")))
    for target in targets.TARGETS:
        with pytest.raises(UserError, match="int8 weights; export from the float model"):
            targets.export_to(target, graph, tmp_path / "out")
    assert not (tmp_path / "out").exists()
