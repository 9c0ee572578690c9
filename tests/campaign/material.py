"""Honest files, one of everything, made by the product itself or as other tools write them."""

import json
import lzma
import os
import shutil
import signal
import struct
import time
import zipfile
from contextlib import chdir
from pathlib import Path

import nir
import numpy as np
import torch
import yaml
import zstandard
from safetensors.torch import save_file

import spikegpt
from exporters import nir as exporter
from hw_sim.energy import profiles
from hw_sim.graph.quantize import quantize
from spikegpt import Config, SpikeGPT
from spikegpt.corpus import load_corpus
from tests.campaign.containers import npy
from tests.campaign.kinds import RESUMED
from tests.campaign.trial import attempt_here, fork

VOCABULARY = 256
TEXT = ("--data", "text.txt")


def tiny(variant: str, vocabulary: int = VOCABULARY, seed: int = 0) -> SpikeGPT:
    """A random model of one block whose populations fire."""
    torch.manual_seed(seed)
    model = SpikeGPT(Config(vocabulary, 1, 8, variant, ctx_len=64))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.7)
    return model.eval()


def make(stock: Path) -> None:
    """Fill a folder with one of everything."""
    stock.mkdir(parents=True, exist_ok=True)
    with chdir(stock):
        text = load_corpus(None).split("test")[:2400].tobytes()
        Path("text.txt").write_bytes(text)
        Path("tokens.npy").write_bytes(npy(np.frombuffer(text[:12], np.uint8).astype(np.int64)))
        _checkpoints()
        _networks()
        _texts(text)
        _prices()
        for command in (
            ("export", "own.nir", "--target", "nir", "--out", "portable"),
            ("export", "own.nir", "--target", "loihi", "--chip", "loihi1", "--out", "loihi", *TEXT, "--tokens", "40"),
            tuple(
                RESUMED.replace("--out run --resume", "--out trained").split()
            ),  # loads what a child then finds loaded
            ("simulate", "own.nir", *TEXT, "--tokens", "40", "--save-state", "state.npz"),
            ("simulate", "own.nir", *TEXT, "--tokens", "90", "--streams", "3", "--resume", "streams"),
            ("tokenize", "text.txt", "--tokenizer", "characters", "--out", "cut"),
            ("energy-report", "own.pt", *TEXT, "--tokens", "40", "--out", "report"),
        ):
            said = attempt_here(command, Path.cwd())
            assert said.code == 0, (command, said)
        characters = tiny("spike-driven", len(set(text.decode())))
        characters.tokenizer = load_corpus("cut").tokenizer
        spikegpt.save(characters, "characters.pt")
        Path("placement.json").write_bytes(Path("loihi/mapping.json").read_bytes())
        _interrupted_run()
        segment = sorted(Path("portable/segments").glob("*.nir"))[0]
        segment.rename("segment.nir")
        segment.with_suffix(".npz").rename("segment.npz")


def _interrupted_run() -> None:
    """A training run that Ctrl-C ended behind its first row of the log, with a checkpoint to go on from."""
    command = [word for word in RESUMED.split() if word != "--resume"]
    while not Path("run/last.pt").exists() or Path("run/model.pt").exists():  # this process was not quick enough
        shutil.rmtree("run", ignore_errors=True)
        said = os.open(os.devnull, os.O_WRONLY)
        child = fork(command, Path.cwd(), said, said, said)
        while not Path("run/log.csv").exists() and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            time.sleep(0.001)
        os.kill(child, signal.SIGINT)
        os.waitpid(child, 0)


def _checkpoints() -> None:
    own, canonical = tiny("spike-driven"), tiny("canonical")
    spikegpt.save(own, "own.pt", provenance={"text": "none", "steps": 3})
    spikegpt.save(own, "own.safetensors", provenance={"text": "none"})
    flat = canonical.state_dict()
    torch.save(flat, "flat.pth")
    torch.save(flat, "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {f"module.{k}": v for k, v in flat.items()}, "epoch": 3}, "wrapped.pth")
    save_file(flat, "flat.safetensors")
    names, folder = sorted(flat), Path("sharded")
    folder.mkdir()
    where = {}
    for k, part in enumerate((names[::2], names[1::2])):
        shard = f"model-{k + 1:05}-of-00002.safetensors"
        save_file({n: flat[n] for n in part}, folder / shard)
        where |= dict.fromkeys(part, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def _networks() -> None:
    graph = exporter.export(tiny("spike-driven"))
    exporter.write(graph, "own.nir")
    exporter.write(quantize(graph), "int8.nir")
    nir.write("packed.nir", graph)
    rng = np.random.default_rng(0)
    ones = np.ones(5, np.float32)
    lif = nir.LIF(tau=2e-4 * ones, r=ones, v_leak=0 * ones, v_threshold=0.5 * ones, v_reset=0 * ones)
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "first": nir.Affine(rng.normal(size=(5, 3)).astype("f4"), rng.normal(size=5).astype("f4")),
        "lif": lif,
        "output": nir.Output({"output": np.array([5])}),
    }
    edges = [("input", "first"), ("first", "lif"), ("lif", "output")]
    nir.write("foreign.nir", nir.NIRGraph(nodes, edges))
    nodes |= {"again": nir.Linear(rng.normal(size=(5, 5)).astype("f4")), "delay": nir.Delay(1e-4 * ones)}
    edges += [("lif", "again"), ("again", "delay"), ("delay", "lif")]
    nir.write("recurrent.nir", nir.NIRGraph(nodes, edges, type_check=False))
    Path("inputs.npy").write_bytes(npy(rng.normal(size=(20, 3)).astype("f4")))


def _texts(text: bytes) -> None:
    lines = [json.dumps({"text": line.decode(), "meta": {"n": 1}}) for line in text.splitlines() if line]
    documents = "\n".join(lines).encode() + b"\n"
    packer = zstandard.ZstdCompressor(write_checksum=True)
    with zipfile.ZipFile("packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.txt", text)
    for name, held in (
        ("packed.txt.xz", lzma.compress(text)),
        ("packed.txt.zst", packer.compress(text)),
        ("documents.jsonl", documents),
        ("documents.jsonl.zst", packer.compress(documents)),
        ("indexed.bin", np.frombuffer(text, np.uint8).astype("<u2").tobytes()),
        ("vocabulary.json", json.dumps({str(i): c for i, c in enumerate(sorted(set(text.decode())))}).encode("utf-16")),
    ):
        Path(name).write_bytes(held)
    sizes = np.array([1000, len(text) - 1000], "<i4")
    head = struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, 8, 2, 3)
    pointers = np.array([0, 2000], "<i8").tobytes() + np.array([0, 1, 2], "<i8").tobytes()
    Path("indexed.idx").write_bytes(head + sizes.tobytes() + pointers)
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    words = Tokenizer(models.BPE(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator([text.decode()], trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>"]))
    words.save("words.json")


def _prices() -> None:
    shipped = Path(profiles.__file__).parent / "profiles"
    values = yaml.safe_load((shipped / "45nm-memory.yaml").read_text())
    Path("prices.yaml").write_text(yaml.safe_dump({**values, "name": "mine"}, sort_keys=False))
    from importlib import resources

    chip = yaml.safe_load(resources.files("exporters.loihi").joinpath("chips/loihi2.yaml").read_text())
    Path("chip.yaml").write_text(yaml.safe_dump({**chip, "name": "mine"}, sort_keys=False))
    from hw_sim.energy.shapes import PARTS

    settings = {"lr": 0.01, "warmup": 1, "density": 0.1, "dropout": 0.1, "seed": 3, "variant": "spike-driven"}
    Path("settings.yaml").write_text(yaml.safe_dump(settings))
    Path("rates.yaml").write_text(yaml.safe_dump(dict.fromkeys(PARTS, 0.15)))
