"""What every command that writes does with every kind of place: it works, or refuses before any work is done."""

import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import torch

import exporters
import spikegpt
from cli.commands import cli
from cli.parameters import NewFile, NewFolder
from exporters import nir as exporter
from exporters.targets import TARGETS
from spikegpt import Config, SpikeGPT, folders
from tests.trees import leftovers, tree

SMALL_RUN = "--layers 1 --width 8 --ctx 8 --steps 2 --batch 2 --device cpu"
# The name of the option that says where, and the rest; MODEL, TEXT, NIR and RECORDING are small inputs.
FOLDER_COMMANDS = {
    "tokenize": "tokenize TEXT --out",
    "export-nir": "export MODEL --target nir --out",
    "export-onnx": "export MODEL --target onnx --out",
    "export-torch": "export MODEL --target torch --out",
    "export-loihi": "export MODEL --target loihi --data TEXT --tokens 20 --out",
    "export-sanafe": "export MODEL --target sanafe --data TEXT --tokens 20 --out",
    "dump-passes": "export MODEL --target nir --out ELSEWHERE --force --dump-passes",
    "energy-report": "energy-report MODEL --data TEXT --tokens 20 --out",
    "train": f"train --data TEXT {SMALL_RUN} --out",
    "resume": "simulate MODEL --data TEXT --tokens 40 --streams 2 --resume",
}
FILE_COMMANDS = {
    "trace": "simulate MODEL --data TEXT --tokens 20 --trace",
    "save-state": "simulate MODEL --data TEXT --tokens 20 --save-state",
    "svg": "info NIR --svg",
    "replay": "replay NIR RECORDING --out",
    "compare": "compare MODEL --data TEXT --tokens 20 --out",
    "generate": "generate MODEL --tokens 100 --out",
    "plot": "plot RUN --out",
    "raster": "raster MODEL --out",
    "junit": "energy-report MODEL --data TEXT --tokens 20 --baseline REPORT --junit",
}
SUFFIXES = {"trace": ".npz", "save-state": ".npz", "svg": ".svg", "replay": ".h5", "compare": ".html",
            "generate": ".npy", "plot": ".svg", "raster": ".html", "junit": ".xml"}  # fmt: skip
# What shows alone, and the files that it reads.
READERS = ("eval MODEL --data TEXT --tokens 20", "check MODEL --target loihi", "count MODEL --data TEXT --tokens 20",
           "count MODEL", "info MODEL", "info NIR --block all", "models", "profiles",
           "compare REPORT", "export --target list")  # fmt: skip
COMMANDS = {**FOLDER_COMMANDS, **FILE_COMMANDS}
QUICK = ("tokenize", "export-nir", "energy-report", "train", "resume", *FILE_COMMANDS)
WHOLE_FOLDER = ("tokenize", *(f"export-{target}" for target in TARGETS), "dump-passes")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    """Small inputs by the names that the commands above give them."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.manual_seed(0)
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), folder / "tiny.pt")
    for suffix in (".pt", ".nir", ".npz"):
        (folder / f"broken{suffix}").touch()
    (folder / "text.txt").write_bytes(b"In the beginning God created the heaven and the earth. " * 20)
    with folders.new_folder(folder / "nir", "export") as new:
        from exporters.targets import fill_nir

        fill_nir(exporter.export(spikegpt.load(folder / "tiny.pt")), new.path)
    segment = sorted((folder / "nir" / "segments").glob("*.nir"))[0]
    small = {"shape": {"n_layer": 1, "n_embd": 8}, "steps": 2, "batch": 2, "ctx": 8}
    spikegpt.train(folder / "text.txt", folder / "run", **small)
    report = exporters.energy(folder / "tiny.pt", folder / "text.txt", split="all", tokens=20)
    (folder / "report.json").write_bytes(msgspec.json.encode(report))
    return {
        "RUN": str(folder / "run"),
        "REPORT": str(folder / "report.json"),
        "MODEL": str(folder / "tiny.pt"),
        "TEXT": str(folder / "text.txt"),
        "NIR": str(segment),
        "RECORDING": str(segment.with_suffix(".npz")),
    }


@pytest.fixture
def write(run, inputs, tmp_path, monkeypatch) -> Callable:
    """Run a command of the tables above with a place, from inside `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    elsewhere = str(tmp_path.parent / f"{tmp_path.name}-elsewhere")

    def call(name: str, place: str, *more: str, broken: bool = False) -> tuple[int, str, str]:
        bad = {"MODEL": "broken.pt", "NIR": "broken.nir", "RECORDING": "broken.npz"}
        bad |= dict.fromkeys(("RUN", "REPORT"), "broken")
        lost = {key: str(Path(inputs["MODEL"]).with_name(file)) for key, file in bad.items()} if broken else {}
        words = COMMANDS[name].split()
        place = with_suffix(tmp_path, place, SUFFIXES.get(name, ""))
        return run(*({**inputs, **lost, "ELSEWHERE": elsewhere}.get(word, word) for word in words), place, *more)

    return call


def with_suffix(here: Path, place: str, suffix: str) -> str:
    """A place whose name says what is to be written: a link to what is there, where there is something."""
    if not place or place.endswith(suffix):
        return place
    if os.path.lexists(here / place) and not os.path.lexists(here / f"{place}{suffix}"):
        (here / f"{place}{suffix}").symlink_to(Path(place).name)
    return f"{place}{suffix}"


def test_every_option_that_names_a_place_to_write_and_every_target_stands_in_a_table():
    places = {
        (command.name, param.opts[0])
        for command in cli.commands.values()
        for param in command.params
        if isinstance(param.type, NewFile | NewFolder)
    }
    assert {(line.split()[0], line.split()[-1]) for line in COMMANDS.values()} == places
    assert {f"export-{target}" for target in TARGETS} <= set(COMMANDS)


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_file_whose_name_says_another_kind_is_refused(name, run, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*(inputs.get(word, word) for word in COMMANDS[name].split()), "x.txt")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert f"'x.txt' does not end with {'.npz' if name == 'replay' else ''}" in err
    assert SUFFIXES[name] in err
    assert not (tmp_path / "x.txt").exists()


@pytest.mark.parametrize("line", READERS)
def test_what_shows_alone_leaves_every_file_as_it_was(line, run, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read = Path(inputs["MODEL"]).parent
    before = tree(read)
    code, out, err = run(*(inputs.get(word, word) for word in line.split()))
    assert (code, bool(out)) == (0, True), err
    assert tree(read) == before
    assert tree(tmp_path) == {}


# Kinds of place. Each makes it in the current folder and returns the word for the command line.


def a_file(here: Path) -> str:
    (here / "thesis.tex").write_text("years of work")
    return "thesis.tex"


def a_folder_of_the_users(here: Path) -> str:
    (here / "mine" / "deep").mkdir(parents=True)
    for name in ("thesis.tex", "model.pt", "report.md", "stream0.json", "deep/run.json"):
        (here / "mine" / name).write_text("years of work")
    return "mine"


def somebody_elses_manifest(here: Path) -> str:
    """As of a browser extension, and even with all files in it."""
    (here / "extension").mkdir()
    (here / "extension" / "icon.png").write_bytes(b"png")
    facts = {"name": "x", "manifest_version": 3, "files": {"icon.png": folders.digest(here / "extension" / "icon.png")}}
    (here / "extension" / "manifest.json").write_text(json.dumps(facts))
    (here / "extension" / "run.json").write_text(json.dumps(facts))
    return "extension"


def below_a_file(here: Path) -> str:
    (here / "file").write_text("years of work")
    return "file/out"


def nothing(here: Path) -> str:
    return ""


def a_loop_of_links(here: Path) -> str:
    (here / "one").symlink_to("two")
    (here / "two").symlink_to("one")
    return "one/out"


def a_link_to_a_file(here: Path) -> str:
    a_file(here)
    (here / "link").symlink_to("thesis.tex")
    return "link"


def too_long(here: Path) -> str:
    return "x" * 300


def a_folder(here: Path) -> str:
    (here / "folder").mkdir()
    return "folder"


def a_fifo(here: Path) -> str:
    os.mkfifo(here / "fifo")
    return "fifo"


REFUSED = (a_file, below_a_file, nothing, a_loop_of_links, a_link_to_a_file, too_long, somebody_elses_manifest,
           a_folder_of_the_users, a_fifo)  # fmt: skip


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_place_that_is_not_ours_is_refused_before_any_work_and_kept(name, kind, force, write, tmp_path):
    place = kind(tmp_path)
    place = with_suffix(tmp_path, place, SUFFIXES.get(name, ""))
    before = tree(tmp_path)
    code, out, err = write(name, place, *(["--force"] if force and can_force(name) else []), broken=True)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "broken" not in err  # the inputs cannot be read, and nobody has looked yet
    assert tree(tmp_path) == before


def can_force(name: str) -> bool:
    return name != "dump-passes"  # the option is there already


@pytest.mark.parametrize("name", FILE_COMMANDS)
def test_a_folder_is_refused_where_a_file_is_written(name, write, tmp_path):
    code, _, err = write(name, a_folder(tmp_path), broken=True)
    assert (code, err) == (2, f"spikegpt: folder{SUFFIXES[name]} is a folder: name a file\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(name, write, tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    allowed = os.access
    locked = os.path.realpath(tmp_path / "locked")
    monkeypatch.setattr(os, "access", lambda path, mode: os.path.realpath(path) != locked and allowed(path, mode))
    code, _, err = write(name, "locked/out", broken=True)
    assert code == 2
    assert "locked cannot be written" in err
    assert not any((tmp_path / "locked").iterdir())


# Places that work.


def new(here: Path) -> str:
    return "out"


def deep(here: Path) -> str:
    return "a/b/out"


def with_spaces(here: Path) -> str:
    return "my output"


def in_cyrillic(here: Path) -> str:
    return "вывод"


def with_a_newline(here: Path) -> str:
    return "two\nlines"


def with_dots(here: Path) -> str:
    (here / "sub").mkdir()
    return "sub/../sub/../out"


def a_dangling_link(here: Path) -> str:
    (here / "link").symlink_to("target")
    return "link"


def of_200_letters(here: Path) -> str:
    return "x" * 200


WORKING = (new, deep, with_spaces, in_cyrillic, with_a_newline, with_dots, a_dangling_link, of_200_letters)


def here_itself(here: Path) -> str:
    return "."


def here_with_a_slash(here: Path) -> str:
    return "./"


def a_link_to_a_folder(here: Path) -> str:
    (here / "real").mkdir()
    (here / "link").symlink_to("real")
    return "link"


FOLDERS_ONLY = (here_itself, here_with_a_slash, a_link_to_a_folder, a_folder)
COMBINATIONS = [
    *((name, kind) for name in QUICK for kind in (new, with_a_newline)),
    *((name, kind) for name in ("tokenize", "save-state") for kind in WORKING),
    *((name, kind) for name in ("tokenize", "energy-report", "train", "resume") for kind in FOLDERS_ONLY),
    *((name, kind) for name in ("export-onnx", "export-loihi", "dump-passes") for kind in (here_itself,)),
]


def str_or_name(x: object) -> str:
    return x if isinstance(x, str) else x.__name__


@pytest.mark.parametrize("name, kind", dict.fromkeys(COMBINATIONS), ids=str_or_name)
def test_any_other_place_takes_the_output_and_takes_it_again(name, kind, write, tmp_path):
    place = kind(tmp_path)
    code, _, err = write(name, place)
    assert (code, err if name not in ("train", "junit") else "") == (0, "")
    first = tree(tmp_path)
    assert any(first.values())
    again = ["--resume"] if name == "train" else []
    code, _, err = write(name, place, *again)
    assert code == 0, err
    assert tree(tmp_path).keys() == first.keys()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", WHOLE_FOLDER)
def test_a_folder_with_anything_else_in_it_is_not_replaced(name, write, tmp_path):
    kind = {"tokenize": "tokens", "dump-passes": "passes"}.get(name, "export")
    with folders.new_folder(tmp_path / "out", kind) as made:
        (made.path / "a.txt").write_text("ours")
    for note in ("notes.txt", "sub/notes.txt", "empty/"):
        path = tmp_path / "out" / note
        path.parent.mkdir(exist_ok=True)
        path.mkdir() if note.endswith("/") else path.write_text("mine")
        before = tree(tmp_path)
        code, _, err = write(name, "out", *(["--force"] if can_force(name) else []), broken=True)
        assert code == 2
        assert note.rstrip("/") in err
        assert tree(tmp_path) == before
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if path.parent.name == "sub":
            path.parent.rmdir()


def test_a_folder_that_was_changed_is_replaced_with_force_alone(write, tmp_path):
    write("tokenize", "out")
    whole = tree(tmp_path)
    (tmp_path / "out" / "corpus.json").write_text("{}")
    code, _, err = write("tokenize", "out")
    assert code == 2
    assert "corpus.json" in err
    assert "--force" in err
    assert write("tokenize", "out", "--force")[0] == 0
    assert tree(tmp_path) == whole


def test_an_output_of_another_kind_is_replaced_with_force_alone(write, tmp_path):
    write("tokenize", "out")
    assert "'tokens'" in write("export-nir", "out")[2]
    assert write("export-nir", "out", "--force")[0] == 0
    assert not (tmp_path / "out" / "tokens.bin").exists()


def test_a_file_of_ours_that_was_changed_is_replaced_with_force_alone(write, tmp_path):
    write("svg", "drawing.svg")
    drawn = (tmp_path / "drawing.svg").read_text()
    (tmp_path / "drawing.svg").write_text(drawn.replace("<svg", "<svg ", 1))
    code, _, err = write("svg", "drawing.svg")
    assert code == 2
    assert "--force" in err
    assert write("svg", "drawing.svg", "--force")[0] == 0
    assert (tmp_path / "drawing.svg").read_text() == drawn


def test_what_is_read_is_not_replaced(write, run, tmp_path, inputs):
    write("export-nir", "out")
    code, _, err = run("export", tmp_path / "out" / "model.nir", "--target", "onnx", "--out", tmp_path / "out")
    assert code == 2
    assert "which is read" in err
    assert (
        run("simulate", inputs["MODEL"], "--trace", "one.npz", "--save-state", "./one.npz")[2].count("same file") == 1
    )


def test_a_report_leaves_other_files_alone_and_takes_no_name_of_theirs(write, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert write("energy-report", "out")[0] == 0
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.md").write_text("mine")
    code, _, err = write("energy-report", "other", "--force")
    assert code == 2
    assert "report.md" in err


# What can go wrong meanwhile.


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "name, size",
    [
        *((name, 400) for name in COMMANDS if name not in ("dump-passes", "resume")),
        *((name, 3000) for name in ("export-nir", "export-onnx", "export-loihi", "energy-report", "train")),
        ("resume", 200),
    ],
)
def test_a_full_disk_ends_a_command_in_one_line_with_the_old_output_whole(name, size, write, tmp_path):
    (tmp_path / "kept").mkdir()
    with full_disk(size):
        code, _, err = write(name, "kept/new")
    assert code == 2, err
    assert err.splitlines()[-1].startswith("spikegpt: ")
    assert "Traceback" not in err
    assert leftovers(tmp_path) == []
    if name not in ("train", "resume"):
        assert not any((tmp_path / "kept").iterdir())


@pytest.mark.parametrize("limit", [0, 1, 500, 5000, 20_000])
def test_hdf5_and_torch_survive_a_full_disk_at_any_size(limit, inputs, tmp_path):
    model = spikegpt.load(inputs["MODEL"])
    graph = exporter.export(model)
    for path, save in ((tmp_path / "m.nir", lambda p: exporter.write(graph, p)), (tmp_path / "m.pt", model_to(model))):
        with full_disk(limit), pytest.raises(OSError, match="File too large"):
            save(path)
        assert not any(tmp_path.iterdir())


def model_to(model) -> Callable[[Path], None]:
    return lambda path: spikegpt.save(model, path)


# Digests are compared where folders and files of ours are read.


@pytest.mark.parametrize(
    "reader",
    ["simulate out --tokens 20", "generate out --tokens 2", "energy-report out --tokens 20", "verify out --tokens 2"],
)
def test_an_export_with_a_changed_byte_is_not_read(reader, write, run, tmp_path):
    assert write("export-loihi", "out")[0] == 0
    path = tmp_path / "out" / "model-int8.nir"
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)
    code, out, err = run(*reader.split())
    assert code == (1 if reader.startswith("verify") else 2)
    assert "model-int8.nir" in out + err or not reader.startswith(("simulate", "verify"))


def test_tokens_with_a_changed_byte_are_not_read(write, run, inputs, tmp_path):
    write("tokenize", "out")
    with (tmp_path / "out" / "tokens.bin").open("r+b") as file:
        file.seek(100)
        file.write(b"\0")
    code, _, err = run("eval", inputs["MODEL"], "--data", tmp_path / "out")
    assert code == 2
    assert "tokens.bin" in err


@pytest.mark.parametrize("damaged", ["run.json", "stream1.json"])
def test_streams_with_a_changed_digit_are_not_resumed(damaged, write, tmp_path):
    write("resume", "out")
    path = tmp_path / "out" / damaged
    path.write_text(path.read_text().replace("1", "2", 1))
    code, _, err = write("resume", "out")
    assert code == 2
    assert damaged in err
