"""Inputs of other tools' networks: what is 0 and 1 is taken for spikes, and said; what is no recording is named."""

import json
from itertools import pairwise

import nir
import numpy as np
import pytest

NOTICE = "inputs of 0 and 1 are taken for spikes"


@pytest.fixture
def network(tmp_path, monkeypatch) -> str:
    """Three inputs to two neurons to one."""
    monkeypatch.chdir(tmp_path)
    lif = [nir.LIF(*np.array([[2e-4] * n, [1.0] * n, [0.0] * n, [1.0] * n])) for n in (2, 1)]
    nodes = {"i": nir.Input({"input": np.array([3])}), "a": nir.Linear(np.full((2, 3), 2.0)), "l": lif[0],
             "b": nir.Linear(np.ones((1, 2))), "m": lif[1], "o": nir.Output({"output": np.array([1])})}  # fmt: skip
    names = list(nodes)
    nir.write("net.nir", nir.NIRGraph(nodes, list(pairwise(names))))
    return "net.nir"


def replayed(run, *arguments: str) -> tuple[dict, str]:
    code, out, err = run("replay", *arguments, "--json")
    assert code == 0, err
    return json.loads(out), err


def test_inputs_of_0_and_1_are_counted_as_spikes_and_a_line_says_so(network, run):
    inputs = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]], np.float32)
    np.save("x.npy", inputs)
    found, err = replayed(run, network, "x.npy")
    spikes = found["spikes"]["l"]
    assert spikes > 0
    assert (found["synops"], found["macs"]) == (5 * 2 + spikes, 0)
    assert NOTICE in err
    np.save("x.npy", inputs * 2)
    found, err = replayed(run, network, "x.npy")
    assert (found["synops"], found["macs"]) == (found["spikes"]["l"], 5 * 2)
    assert NOTICE not in err


def test_without_inputs_those_beside_the_network_are_taken(network, run, tmp_path):
    code, _, err = run("replay", network)
    assert (code, err) == (2, "spikegpt: net.npz: no such file\n")
    inputs = np.array([[2, 0, 1], [0, 3, 0]], np.float32)
    np.savez("net.npz", input=inputs)
    np.save("x.npy", inputs)
    assert replayed(run, network)[0] == replayed(run, network, "x.npy")[0]


def test_events_are_spikes_without_a_word(network, run, tmp_path):
    (tmp_path / "x.csv").write_text("step,index\n0,1\n2,0\n")
    found, err = replayed(run, network, "x.csv")
    assert (found["synops"] - found["spikes"]["l"], found["macs"]) == (2 * 2, 0)
    assert NOTICE not in err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("verify nothere", "nothere: no such folder"),
        ("verify text.txt", "text.txt is a file; name a folder"),
        ("plot nothere --out p.svg", "nothere: no such folder"),
        ("train --settings no.yaml --out r", "no.yaml: no such file; YAML of options by name (.yaml) is expected"),
        ("train --settings empty.yaml --out r", "empty.yaml: the file is empty; YAML of options"),
        ("compare text.json", "Object missing required field `model`; a report.json of `spikegpt energy-report`"),
        ("energy-report --preset 45m --rate 0.1 --baseline here", "here is a folder; name a file in it; a report.json"),
        ("energy-report --preset 45m --rate 0.1 --placement text.json", "field `placement`; mapping.json of a Loihi"),
        ("profiles text.json", "unknown field `a`; a table of prices (.yaml) is expected"),
        ("info net.onnx", "net.onnx: an ONNX model; of all commands `spikegpt count` alone reads one"),
        ("info texd.json", "texd.json: no such file; did you mean text.json?"),
        ("info text.pt", "text.pt: no such file\n"),
    ],
)
def test_what_is_missing_empty_or_of_another_kind_is_said_with_what_is_expected(
    command, said, run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("columns " * 500)
    (tmp_path / "text.json").write_text('{"a": 1}')
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "net.onnx").write_bytes(b"onnx")
    (tmp_path / "here").mkdir()
    code, out, err = run(*command.split())
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize("command", ["info text.txt", "eval text.txt", "plot here --out p.svg", "count text.json"])
def test_what_is_of_another_kind_is_named(command, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("columns " * 500)
    (tmp_path / "text.json").write_text('{"a": 1}')
    (tmp_path / "here").mkdir()
    code, _, err = run(*command.split())
    assert code == 2
    assert len(err) < 200
    assert "a text, no file of weights" in err or "here is not the folder of a training run" in err
