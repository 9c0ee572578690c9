"""An option that would say nothing is refused by name before any work, in every command; none of a kind lets NaN in."""

import click
import pytest

import spikegpt
from cli.commands import cli
from exporters import nir as exporter
from exporters.targets import fill_nir
from spikegpt import Config, SpikeGPT, folders

SMALL = "train --data text.txt --layers 1 --width 8 --ctx 8 --steps 2 --batch 2 --out new"
GPT = "energy-report --preset 260m --rate 0.15"
FOREIGN = "energy-report net.nir --data x.npy"
# What is given, the option that says nothing there, and a word of what is said.
IDLE = [
    *((SMALL, f"--teacher-{name}", value, "--teacher") for name, value in
      (("variant", "canonical"), ("embedding", "raw"), ("share", "0.5"), ("temperature", "2"))),
    (SMALL, "--density-weight", "1", "--density or --synops"),
    ("generate m.pt", "--force", None, "--out"),
    ("replay net.nir x.npy", "--force", None, "--out"),
    ("compare r.json", "--force", None, "--out"),
    *(("compare r.json", name, value, "nothing is measured") for name, value in
      (("--data", "text.txt"), ("--tokens", "5"), ("--split", "test"), ("--tokenizer", "bytes"),
       ("--variant", "canonical"), ("--embedding", "raw"))),
    ("info --preset 45m", "--variant", "canonical", "a --preset is none"),
    ("info nir", "--embedding", "raw", "says itself"),
    ("info nir", "--force", None, "--svg"),
    ("check m.pt --target nir", "--tokens", "5", "--data"),
    ("check net.nir --target nir", "--tokenizer", "bytes", "another tool"),
    *(("count x.onnx", name, value, "takes none") for name, value in
      (("--dt", "1"), ("--tokenizer", "bytes"), ("--variant", "canonical"))),
    ("count x.onnx --data x.npy", "--split", "test", "takes none"),
    ("count net.nir", "--tokenizer", "bytes", "another tool"),
    ("count m.pt", "--spike-input", None, "looked up"),
    ("count m.pt", "--tokens", "5", "--data"),
    ("simulate m.pt --data text.txt", "--tolerance", "0.5", "--verify"),
    ("simulate m.pt --data text.txt", "--membrane", "block0_att_key_lif:1", "--trace"),
    ("simulate m.pt --data text.txt --json", "--by-block", None, "--json holds"),
    ("simulate m.pt --data text.txt", "--force", None, "--trace or --save-state"),
    *((GPT, name, value, "reads no text") for name, value in
      (("--data", "text.txt"), ("--tokens", "50"), ("--split", "test"), ("--tokenizer", "bytes"),
       ("--variant", "canonical"), ("--spike-input", None), ("--compressors", None))),
    (GPT, "--name", "a", "models"),
    (GPT, "--force", None, "--out or --junit"),
    *(("energy-report m.pt --data text.txt", name, value, "--baseline") for name, value in
      (("--max-increase", "3%"), ("--max-quality-loss", "3%"), ("--junit", "j.xml"))),
    ("energy-report m.pt --data text.txt", "--rate", "0.1", "--preset"),
    ("energy-report m.pt --data text.txt", "--spike-input", None, "another tool"),
    *((FOREIGN, name, value, "of language models") for name, value in
      (("--split", "test"), ("--tokenizer", "bytes"), ("--name", "x"), ("--context", "4"), ("--mode", "mean"),
       ("--baselines", "all"), ("--measure-host", None), ("--batch", "2"))),
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("idle")
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), folder / "m.pt")
    with folders.new_folder(folder / "nir", "export") as new:
        fill_nir(exporter.export(spikegpt.load(folder / "m.pt")), new.path)
    segment = sorted((folder / "nir" / "segments").glob("*.nir"))[0]
    (folder / "net.nir").write_bytes(segment.read_bytes())
    (folder / "text.txt").write_text("In the beginning God created the heaven and the earth. " * 20)
    for name in ("x.onnx", "x.npy", "r.json"):  # nobody looks: the option is refused before
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(("command", "option", "value", "said"), IDLE, ids=lambda part: str(part)[:30])
def test_an_option_that_would_say_nothing_is_refused_before_any_work(
    command, option, value, said, place, run, monkeypatch
):
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    code, out, err = run(*command.split(), option, *([] if value is None else [value]))
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert err.startswith(f"spikegpt: {option}")
    assert said in err
    assert sorted(place.rglob("*")) == before


def test_no_number_may_be_nan():
    plain = [
        f"{command.name} {param.opts[0]}"
        for command in cli.commands.values()
        for param in command.params
        if isinstance(param.type, click.types.FloatParamType) and type(param.type).__module__ != "cli.parameters"
    ]
    assert plain == []
