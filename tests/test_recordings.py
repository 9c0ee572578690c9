"""Inputs as people store them, and the spikes beside them: arrays, event lists, NIRData; each alike, or refused."""

import json

import h5py
import nir
import numpy as np
import pytest

from hw_sim.graph.recordings import read_recording, step_of, write_nir_data
from spikegpt import UserError, files

SHAPE, DT = (2, 3, 4), 1e-3


@pytest.fixture
def grid() -> np.ndarray:
    made = (np.random.default_rng(3).random((30, *SHAPE)) < 0.1).astype(np.float32)
    made[-1, 0, 0, 0] = 1  # lists of events end with the last
    return made


def stored(grid: np.ndarray, how: str, path) -> None:
    t, p, y, x = np.nonzero(grid)
    if how == "npy":
        np.save(path, grid)
    elif how == "npz":
        np.savez(path, input=grid.reshape(30, -1), lif=np.ones((30, 2), np.uint8))
    elif how == "events":
        np.savez(path, step=t, x=x, y=y, p=p)
    elif how == "csv":
        lines = [f"{(a + 0.5) * DT},{(b * 3 + c) * 4 + d}" for a, b, c, d in zip(t, p, y, x, strict=True)]
        path.write_text("t,index\n" + "\n".join(lines))
    elif how == "nird":
        write_nir_data(path, grid.reshape(30, -1).astype(bool), {"lif": np.ones((30, 2), np.uint8)}, DT)
    else:
        index = ((p * 3 + y) * 4 + x)[None]
        data = nir.EventData(index, t[None] * DT, 24, 30 * DT)
        nir.write_data(path, nir.NIRGraphData({"input": nir.NIRNodeData({"spikes": data})}))


@pytest.mark.parametrize(
    "how, name, events",
    [("npy", "a.npy", False), ("npz", "a.npz", False), ("events", "e.npz", True), ("csv", "e.csv", True),
     ("nird", "d.h5", True), ("nird events", "d.nir", True)],
)  # fmt: skip
def test_all_forms_give_the_same_inputs(tmp_path, grid, how, name, events):
    stored(grid, how, tmp_path / name)
    found = read_recording(tmp_path / name, SHAPE, DT)
    assert np.array_equal(found.inputs, grid.reshape(30, -1))
    assert found.events == events
    assert (found.spikes.keys() == {"lif"}) == (how in ("npz", "nird"))
    assert len(read_recording(tmp_path / name, SHAPE, DT, 7).inputs) == 7


def test_values_beside_events_are_kept(tmp_path):
    data = nir.ValuedEventData(np.array([[2, -1]]), np.array([[DT, np.inf]]), 3, 2 * DT, np.array([[0.5, 0]]))
    nir.write_data(tmp_path / "v.h5", nir.NIRGraphData({"input": nir.NIRNodeData({"x": data})}))
    found = read_recording(tmp_path / "v.h5", (3,), DT)
    assert (found.inputs.tolist(), found.events) == ([[0, 0, 0], [0, 0, 0.5]], False)


def test_narrow_columns_and_times_of_float32_fall_where_they_belong(tmp_path):
    np.savez(tmp_path / "e.npz", x=np.uint8([33]), y=np.uint8([33]), p=np.uint8([1]), step=np.uint8([0]))
    assert read_recording(tmp_path / "e.npz", (2, 34, 34), DT).inputs[0].nonzero()[0].tolist() == [2311]
    steps = np.arange(20_000)
    for dt in (1e-3, 5e-4, 3e-4, 1e-6):
        for kind in (np.float32, np.float64):
            assert np.array_equal(step_of((steps * dt).astype(kind), dt), steps)
            assert np.array_equal(step_of(((steps + 0.9) * dt).astype(kind), dt), steps)


def test_inputs_of_true_and_false_are_events_and_numbers_keep_their_kind(tmp_path):
    np.save(tmp_path / "b.npy", np.eye(3, dtype=bool))
    assert read_recording(tmp_path / "b.npy", (3,), DT).events
    write_nir_data(tmp_path / "r.h5", np.eye(3, dtype=np.float32), {}, DT)
    assert not read_recording(tmp_path / "r.h5", (3,), DT).events
    with pytest.raises(UserError, match="a population is named 'input'"):
        write_nir_data(tmp_path / "x.h5", np.eye(3), {"input": np.eye(3)}, DT)


def test_a_recording_lasts_until_its_end_is_reached(tmp_path):
    for t_max, steps in ((2.5e-3, 3), (3e-3, 3), (0.3, 300)):
        data = nir.EventData(np.array([[0]]), np.array([[2.2e-3]]), 3, t_max)
        nir.write_data(tmp_path / "e.h5", nir.NIRGraphData({"input": nir.NIRNodeData({"s": data})}))
        assert read_recording(tmp_path / "e.h5", (3,), DT).inputs.shape == (steps, 3)


def garbled(change):
    """A file of events of which `change` spoils a field."""

    def write(path) -> None:
        data = nir.EventData(np.array([[0, 1]]), np.array([[0.0, DT]]), 24, 2 * DT)
        nir.write_data(path, nir.NIRGraphData({"input": nir.NIRNodeData({"spikes": data})}))
        with h5py.File(path, "r+") as file:
            change(file["nodes/input/observables/spikes"])

    return write


def replaced(name: str, values):
    def change(group) -> None:
        del group[name]
        group[name] = values

    return change


def csv(text: str):
    return lambda path: path.write_text(text)


def linked(path) -> None:
    write_nir_data(path, np.ones((2, 24)), {}, DT)
    with h5py.File(path, "r+") as file:
        group = file["nodes/input/observables/spikes"]
        del group["data"]
        group["data"] = h5py.ExternalLink("/etc/passwd", "/x")


@pytest.mark.parametrize(
    "name, write, said",
    [
        ("a.npy", lambda p: np.save(p, np.ones((5, 3))), "24 values a time step"),
        ("a.npy", lambda p: np.save(p, np.full((5, 24), np.nan)), "finite"),
        ("a.npz", lambda p: np.savez(p, other=np.ones(3)), "no array named input"),
        ("a.csv", csv("t,index\n0.1,24\n"), "index 24 for 24 inputs"),
        ("a.npy", lambda p: np.save(p, np.ones((5, 3, 4, 2))), r"as \(T, 24\) or \(T, 2, 3, 4\)"),
        ("a.npy", lambda p: np.save(p, np.full((5, 24), 1e300)), "finite numbers of float32"),
        ("a.csv", csv("t,index\n-1,2\n"), "negative"),
        ("a.csv", csv("t,index\n1,2.5\n"), "index of an event is no whole number"),
        ("a.csv", csv("t,x,y,p\n0,1,0.5,0\n"), "y of an event is no whole number"),
        ("a.csv", csv("t,step,index\n0,0,1\n"), "both t and step"),
        ("a.csv", csv("t,index,x,y\n0,0,1,1\n"), "both index and x"),
        ("a.csv", csv("t,x,y\n0,1,1\n"), "2 maps"),
        ("a.h5", garbled(lambda g: g.attrs.__delitem__("t_max")), "without t_max"),
        ("a.h5", garbled(lambda g: g.attrs.__setitem__("t_max", np.nan)), "t_max is no finite"),
        ("a.h5", garbled(lambda g: g.attrs.__setitem__("n_neurons", np.inf)), "n_neurons is no finite"),
        ("a.h5", garbled(lambda g: g.__delitem__("time")), "without time"),
        ("a.h5", garbled(replaced("time", np.zeros((1, 3)))), "of one length"),
        ("a.h5", garbled(replaced("idx", np.zeros((1, 2)))), "idx whole"),
        ("a.h5", garbled(lambda g: g.attrs.__setitem__("__type__", "Other")), "none of TimeGriddedData"),
        ("a.csv", csv("t,index\n1e30,2\n"), "up to"),
        ("a.csv", csv("t,x,y,p\n0,4,0,0\n"), "x from 4 to 4 for 4 places"),
        ("a.csv", csv("a,b\n0,4\n"), "columns a, b"),
        ("a.csv", csv("t,index\n0\n"), "1 columns, the first 2"),
        ("a.csv", csv("t,index\nx,y\n"), "no list of events"),
        ("a.bin", lambda p: p.write_bytes(b"nothing"), "inputs are a .npy"),
        ("a.h5", lambda p: write_nir_data(p, np.ones((2, 24)), {}, 2 * DT), "name the --dt"),
        ("a.h5", lambda p: write_nir_data(p, None, {"lif": np.ones((2, 24))}, DT), "a node 'input' is needed"),
        ("a.h5", linked, "is a link"),
        ("a.h5", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)), "not readable|damaged"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(tmp_path, name, write, said):
    write(tmp_path / name)
    with pytest.raises(UserError, match=said) as caught:
        read_recording(tmp_path / name, SHAPE, DT)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_replay_writes_nir_data_that_it_reads_back(tmp_path, run):
    node = nir.IF(np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    nodes = {"input": nir.Input({"input": np.array([2])}), "lif": node, "out": nir.Output({"output": np.array([2])})}
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, [("input", "lif"), ("lif", "out")]), compression=None)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, 2)))
    code, out, _ = run("replay", tmp_path / "n.nir", tmp_path / "x.npy", "--out", tmp_path / "s.h5", "--json")
    assert (code, json.loads(out)["time_step"].startswith("a step of 1 s")) == (0, True)
    assert nir.read_data(tmp_path / "s.h5").nodes.keys() == {"input", "lif"}
    code, out, _ = run("replay", tmp_path / "n.nir", tmp_path / "s.h5")
    assert code == 0
    assert "0 differ from the recording" in out


def test_nir_data_of_ours_is_replaced_and_read_back_with_its_mark(tmp_path):
    path = tmp_path / "x.h5"
    for value in (0, 1):
        files.check(path)
        write_nir_data(path, np.full((4, 3), value, np.float32), {"l": np.ones((4, 2), np.uint8)}, 1e-4)
        found = read_recording(path, (3,), 1e-4)
        assert (found.inputs == value).all()
        assert (found.spikes["l"] == 1).all()
    assert nir.read_data(path).nodes["l"].observables["spikes"].data.shape == (1, 4, 2)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match="not a file that this tool wrote"):
        files.check(path)
