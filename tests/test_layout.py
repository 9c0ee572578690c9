"""What is printed fits 80 columns in a terminal; where nobody said how wide it may be, a row is one line."""

import pytest

import spikegpt
from cli.layout import folded, table
from exporters import nir as exporter
from exporters.targets import fill_nir
from spikegpt import Config, SpikeGPT, folders

SMALL = "--layers 1 --width 8 --ctx 8 --steps 2 --batch 2 --device cpu"
COMMANDS = (
    "--help",
    "models",
    "profiles",
    f"train --data text.txt {SMALL} --out run",
    "tokenize text.txt --out tokens",
    "eval m.pt --data kjv --tokens 40",
    "info m.pt",
    "info nir",
    "info nir --block all",
    "info --preset 45m",
    "check m.pt --target loihi --data text.txt --tokens 40",
    "check m.pt --target netx",
    "count m.pt --data text.txt --tokens 40",
    "count shipped:kjv",
    "simulate m.pt --data text.txt --tokens 40 --verify m.pt",
    "export m.pt --target loihi --data text.txt --chip loihi1 --out loihi",
    "simulate loihi --data text.txt --placement loihi",
    "export --target list",
    "replay net.nir net.npz",
    "energy-report m.pt --data text.txt --tokens 40 --out report",
    "energy-report m.pt --data text.txt --tokens 40 --baseline report",
    "energy-report --preset 260m --rate 0.15",
    "compare report run --data text.txt --tokens 40",
    "simulate net.nir",
    "eval nothere.pt",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), folder / "m.pt")
    with folders.new_folder(folder / "nir", "export") as new:
        fill_nir(exporter.export(spikegpt.load(folder / "m.pt")), new.path)
    segment = sorted((folder / "nir" / "segments").glob("*.nir"))[0]
    for suffix in (".nir", ".npz"):
        (folder / f"net{suffix}").write_bytes(segment.with_suffix(suffix).read_bytes())
    (folder / "text.txt").write_text("In the beginning God created the heaven and the earth. " * 20)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_longer_than_80_columns(command, place, run, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(*command.split())
    assert code in (0, 1, 2), err
    assert [line for line in (out + err).splitlines() if len(line) > 80] == []


def test_a_row_is_one_line_where_nobody_says_how_wide_it_may_be(place, run, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = run("count", "m.pt", "--data", "text.txt")[1].splitlines()
    assert sum(line.startswith("block0_att_receptance_lif  ") for line in lines) == 1
    assert "graded" in lines[1]
    code, _, err = run("simulate", "net.nir")
    assert (code, len(err.splitlines())) == (2, 1)


def test_a_table_folds_moves_together_and_leaves_out_before_it_breaks_a_name(monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    head, rows = ("name", "of", "n", "idle"), [("first", "a", "1,000", "0"), ("a_name_of_21_letters_", "b", "2", "-")]
    assert table(head, rows, ("of",), ("idle",)) == (
        "name            of     n\nfirst           a  1,000\na_name_of_21_letters_\n                b      2"
    )
    said = table(("n", "why"), [("a", "words that are long")], ("why",))
    assert said == "n  why\na  words that are long"
    monkeypatch.setenv("COLUMNS", "20")
    assert table(("n", "why"), [("a", "words that are long")], ("why",)) == "n  why\na  words that are\n   long"


def test_a_sentence_is_folded_between_words_under_its_own_indent(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    path = "/a/path/that/is/longer/than/the/line"
    assert folded("  one two three four five") == "  one two three four\n    five"
    assert folded(f"see {path}") == f"see\n  {path}"
    command = "spikegpt train --data text.txt --out runs/a --resume"
    assert folded(f"to continue it: {command}") == f"to continue it:\n{command}"
