"""Stored arrays, plans and states of strangers: read within their bytes, or refused on one line."""

import io
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan import FIELDS, Plan
from hw_sim.plan.valid import check_rows
from spikegpt import UserError, arrays
from spikegpt.arrays import read_arrays
from tests.conftest import lively_model


def npy(header: str, data: bytes = bytes(80), version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + data


def claim(shape: str, kind: str = "'<f8'", order: str = "False") -> str:
    return f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}}}"


def npz(**entries: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return raw.getvalue()


FALSE_HEADERS = [
    claim("(1000000000000,)"), claim("(11,)"), claim("(9,)"), claim("(-10,)"), claim("(10, -1)"), claim("10"),
    claim("(10,)", "'|O'"), claim("(10,)", "'<U0'"), claim("(4000000000000000000, 0)", "'<U0'"), claim("(10,)", "'V8'"),
    claim("(10,)", "[('a', '<f8')]"), claim("(10,)", "3"), claim("(10,)", "'<q9'"), claim("(1e9,)"), claim("(True,)"),
    "{", "[" * 5000, "__import__('os').system('ls')", "{'shape': (10,)}", "",
]  # fmt: skip


@pytest.mark.parametrize("header", FALSE_HEADERS)
def test_a_header_that_its_bytes_do_not_bear_out_is_refused(header, tmp_path):
    for name, content in (("a.npy", npy(header)), ("a.npz", npz(x=npy(header)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"^[^\n]*{name}[^\n]*$"):
            read_arrays(tmp_path / name)


@pytest.mark.parametrize("array", [
    np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(3), np.zeros((0, 4)),
    np.array(["a", "bc"]), np.array(True), np.arange(3, dtype=">i4"),
])  # fmt: skip
def test_what_numpy_stores_is_read(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array)
    np.savez_compressed(tmp_path / "c.npz", x=array)
    found = [read_arrays(tmp_path / "a.npy")[""], *(read_arrays(tmp_path / f"{k}.npz")["x"] for k in "ac")]
    for again in found:
        assert again.dtype == array.dtype
        assert np.array_equal(again, array)


def test_damaged_encrypted_and_packed_archives_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "UNPACKED", 1 << 20)
    np.savez(tmp_path / "good.npz", x=np.arange(100))
    good = (tmp_path / "good.npz").read_bytes()
    at = good.index(np.arange(100).tobytes()) + 9
    bad = {
        "flipped": good[:at] + b"\x55" + good[at + 1 :],
        "cut": good[:-30],
        "locked": good.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
        if b"PK\x01\x02\x14\x03\x14\x00\x00" in good
        else good[:-1],
        "bomb": npz(x=npy(claim("(5000000,)", "'|u1'"), bytes(5_000_000))),
        "no arrays": npz() + b"",
    }
    for name, content in bad.items():
        (tmp_path / "bad.npz").write_bytes(content)
        if name == "no arrays":
            assert read_arrays(tmp_path / "bad.npz") == {}
            continue
        with pytest.raises(UserError, match=r"bad\.npz"):
            read_arrays(tmp_path / "bad.npz")


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    graph = exporter.export(lively_model("spike-driven", n_layer=1, n_embd=8))
    return [build(quantize(graph)), build(graph)]


def test_plans_of_ours_are_valid(plans):
    for variant in ("canonical", "continuous"):
        graph = exporter.export(lively_model(variant, n_layer=1, n_embd=8))
        check_rows(build(graph))
        check_rows(build(quantize(graph)))
    for plan in plans:
        check_rows(plan)


VALUES = [-1, 1 << 20, 1 << 62, -(1 << 63)]


@pytest.mark.parametrize("value", VALUES)
def test_a_row_that_reaches_beyond_the_buffers_is_refused(value, plans):
    for plan in plans:
        for row in range(len(plan.table)):
            for column in ("op", "n_in", "n_out"):
                table = plan.table.copy()
                table[row, FIELDS.index(column)] = value
                with pytest.raises(UserError, match=r"places outside the buffers|one output"):
                    check_rows(replace(plan, table=table))
            for column in ("x", "y", "z", "w", "c", "s", "e", "shift"):
                table = plan.table.copy()
                table[row, FIELDS.index(column)] = value
                changed = replace(plan, table=table)
                try:
                    check_rows(changed)
                except UserError:
                    continue
                assert value > 0  # a place that this operation does not use


def test_plans_of_other_types_and_sizes_are_refused(plans, tmp_path):
    plan = plans[0]
    bad = [
        {"n_signals": 1 << 40}, {"n_signals": 0}, {"n_events": -1}, {"n_vocab": 3}, {"names": plan.names[1:]},
        {"weights": plan.weights.astype(np.int16)}, {"constants": plan.constants[:-1]}, {"state": plan.state[None]},
        {"table": plan.table[:0], "names": ()}, {"table": plan.table[:, 1:]}, {"integer": False},
        {"weights": plan.weights[:9]},
    ]  # fmt: skip
    for change in bad:
        replace(plan, **change).save(tmp_path / "p.npz")
        with pytest.raises(UserError, match=r"p\.npz: not a plan that can be run"):
            Plan.load(tmp_path / "p.npz")
    held = {f.name: np.asarray(getattr(plan, f.name)) for f in fields(Plan)}
    for name in held:
        np.savez(tmp_path / "p.npz", **{k: v for k, v in held.items() if k != name})
        with pytest.raises(UserError, match="not a stored plan"):
            Plan.load(tmp_path / "p.npz")


@pytest.mark.parametrize("state", [None, np.array("x"), np.array(["x"]), np.zeros(3), np.array([1j])])
def test_a_damaged_state_is_refused(state, plans, tmp_path):
    simulator = Simulator(plans[1])
    stored = {"plan": np.array(plans[1].digest), **({} if state is None else {"state": state})}
    np.savez(tmp_path / "s.npz", **stored)
    with pytest.raises(UserError, match=r"s\.npz"):
        simulator.load_state(tmp_path / "s.npz")


def test_a_recording_of_any_damage_is_one_line(tmp_path, run):
    exporter.write(exporter.export(lively_model("spike-driven", n_layer=1, n_embd=8)), tmp_path / "n.nir")
    for content in (b"", b"no", npz(), npz(input=npy(claim("(1000000000000,)"))), npy("{")):
        (tmp_path / "r.npz").write_bytes(content)
        code, out, err = run("replay", tmp_path / "n.nir", tmp_path / "r.npz")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
