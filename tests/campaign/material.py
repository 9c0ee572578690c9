"""Honest files, made by the product itself or as other tools write them, and every way in which it reads them."""

import json
import lzma
import struct
import zipfile
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from enum import IntEnum
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
from tests.campaign.containers import forge_hdf5, forge_text_zip, forge_xz, forge_zip, forge_zst, npy, other_array
from tests.campaign.damage import Rng
from tests.campaign.documents import forge_json, forge_safetensors, forge_yaml
from tests.campaign.trial import command_line

Forge = Callable[[bytes, Rng], bytes]
VOCABULARY = 256
TEXT = ("--data", "text.txt")


class Notices(IntEnum):
    """Which changes of a file a reader can tell from another honest file."""

    NOTHING = 0  # nothing in the format says what it was: a text, a price list, another tool's weights without sums
    DAMAGE = 1  # a sum or a digest within the file: a forger can make it right again, an accident cannot
    CONTENT = 2  # a digest elsewhere


@dataclass(frozen=True)
class Target:
    """A file that is mutated: how it may be forged, and which changes of it must be noticed."""

    path: str
    forge: Forge
    notices: Notices


@dataclass(frozen=True)
class Kind:
    """One way to read: the command line, the file or folder that it reads, what else it needs, what it may write.

    `verdict`: exit code 1 is an answer (files differ, costs regressed).
    """

    name: str
    targets: tuple[Target, ...]
    command: tuple[str, ...]
    needs: tuple[str, ...] = ("text.txt",)
    writes: tuple[str, ...] = ()
    verdict: bool = False


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
            ("export", "own.nir", "--target", "loihi", "--out", "loihi", *TEXT, "--tokens", "40"),
            ("simulate", "own.nir", *TEXT, "--tokens", "40", "--save-state", "state.npz"),
            ("simulate", "own.nir", *TEXT, "--tokens", "90", "--streams", "3", "--resume", "streams"),
            ("tokenize", "text.txt", "--tokenizer", "characters", "--out", "cut"),
            ("energy-report", "own.pt", *TEXT, "--tokens", "30", "--out", "report"),
        ):
            code, out, err = command_line(command)
            assert code == 0, (command, out, err)
        characters = tiny("spike-driven", len(set(text.decode())))
        characters.tokenizer = load_corpus("cut").tokenizer
        spikegpt.save(characters, "characters.pt")
        (segment,) = (
            sorted(Path("portable/segments").glob("*key.nir"))[:1]
            or sorted(Path("portable/segments").glob("*.nir"))[:1]
        )
        segment.rename("segment.nir")
        segment.with_suffix(".npz").rename("segment.npz")


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
    from hw_sim.energy.work import PARTS

    Path("rates.yaml").write_text(yaml.safe_dump(dict.fromkeys(PARTS, 0.15)))
    placement = {"messages_per_token": 30.5, "hops_ew_per_token": 8, "hops_ns_per_token": 2.5, "cores": 12, "chips": 1}
    Path("placement.json").write_text(json.dumps({"placement": placement, "note": "mine"}))


def raw(data: bytes, rng: Rng) -> bytes:
    """What to forge in a file without structure: numbers in it, at the edge of their type."""
    from tests.campaign.damage import word

    return word(data, rng)


def kinds() -> list[Kind]:
    """All ways to read, each with the files of `make` that it takes."""
    none, damage, content = Notices.NOTHING, Notices.DAMAGE, Notices.CONTENT
    short = (*TEXT, "--tokens", "40", "--json")

    def one(name: str, path: str, forge: Forge, notices: Notices, *command: str, **more) -> Kind:
        return Kind(name, (Target(path, forge, notices),), command, **more)

    what_if = ("energy-report", "--preset", "tiny", "--json")
    prepared = ("own.nir", "text.txt")
    shards = [Target(f"sharded/model-0000{k}-of-00002.safetensors", forge_safetensors, none) for k in (1, 2)]
    streams = [Target(f"streams/{name}.json", forge_json, damage) for name in ("run", "stream0", "stream2")]
    return [
        one("checkpoint .pt", "own.pt", forge_zip, damage, "eval", "own.pt", *short),
        one("checkpoint .pt, info", "own.pt", forge_zip, damage, "info", "own.pt", "--json"),
        one("checkpoint .safetensors", "own.safetensors", forge_safetensors, damage, "eval", "own.safetensors", *short),
        one("flat .pth", "flat.pth", forge_zip, damage, "eval", "flat.pth", *short),
        one("flat .pth of old torch", "legacy.pth", raw, none, "eval", "legacy.pth", *short),
        one("wrapped .pth", "wrapped.pth", forge_zip, damage, "eval", "wrapped.pth", *short),
        one("flat .safetensors", "flat.safetensors", forge_safetensors, none, "eval", "flat.safetensors", *short),
        Kind(
            "sharded checkpoint", (*shards, Target("sharded/model.safetensors.index.json", forge_json, none)),
            ("eval", "sharded", *short), ("text.txt", "sharded"),
        ),
        one("generate from .pt", "own.pt", forge_zip, damage, "generate", "own.pt", "--tokens", "8"),
        one(".nir", "own.nir", forge_hdf5, damage, "simulate", "own.nir", *short),
        one(".nir, int8", "int8.nir", forge_hdf5, damage, "simulate", "int8.nir", *short),
        one(".nir, info", "own.nir", forge_hdf5, damage, "info", "own.nir", "--json"),
        one(".nir, gzip", "packed.nir", forge_hdf5, none, "simulate", "packed.nir", *short),
        one(".nir, export", "own.nir", forge_hdf5, damage, "export", "own.nir", "--target", "nir", "--out", "made", writes=("made",)),
        one(".nir of another tool", "foreign.nir", forge_hdf5, none, "replay", "foreign.nir", "inputs.npy", "--json", needs=("inputs.npy",)),
        one(".nir with recurrence", "recurrent.nir", forge_hdf5, none, "replay", "recurrent.nir", "inputs.npy", "--json", needs=("inputs.npy",)),
        one("inputs .npy", "inputs.npy", other_array, none, "replay", "foreign.nir", "inputs.npy", "--json", needs=("foreign.nir",)),
        one("recording .npz", "segment.npz", forge_zip, damage, "replay", "segment.nir", "segment.npz", "--json", needs=("segment.nir",), verdict=True),
        one("portable segment .nir", "segment.nir", forge_hdf5, none, "replay", "segment.nir", "segment.npz", "--json", needs=("segment.npz",), verdict=True),
        one("state .npz", "state.npz", forge_zip, damage, "simulate", "own.nir", *short, "--load-state", "state.npz", needs=prepared),
        one("price profile", "prices.yaml", forge_yaml, none, *what_if, "--rate", "0.1", "--profile", "prices.yaml", needs=()),
        one("price profile, list", "prices.yaml", forge_yaml, none, "profiles", "prices.yaml", needs=()),
        one("assumed rates", "rates.yaml", forge_yaml, none, *what_if, "--rates", "rates.yaml", needs=()),
        one("placement", "placement.json", forge_json, none, *what_if, "--rate", "0.1", "--placement", "placement.json", needs=()),
        one("baseline report", "report/report.json", forge_json, none, "energy-report", "own.pt", *short, "--baseline", "report/report.json",
            needs=("own.pt", "text.txt"), verdict=True),
        one("chip", "chip.yaml", forge_yaml, none, "export", "own.nir", "--target", "loihi", "--chip", "chip.yaml", "--out", "made", *TEXT, "--tokens", "20",
            needs=prepared, writes=("made",)),
        one("tokenizer of `tokenizers`", "words.json", forge_json, none, "tokenize", "text.txt", "--tokenizer", "words.json", "--out", "made", writes=("made",)),
        one("tokenizer of the released code", "vocabulary.json", forge_json, none, "tokenize", "text.txt", "--tokenizer", "vocabulary.json", "--out", "made", writes=("made",)),
        one("text", "text.txt", raw, none, "eval", "own.pt", *short, needs=("own.pt",)),
        one("text, characters", "text.txt", raw, none, "tokenize", "text.txt", "--tokenizer", "characters", "--out", "made", needs=(), writes=("made",)),
        *(
            one(f"text {name}", path, forge, notices, "tokenize", path, "--out", "made", needs=(), writes=("made",))
            for name, path, forge, notices in (
                (".xz", "packed.txt.xz", forge_xz, damage),
                (".zip", "packed.zip", forge_text_zip, damage),
                (".zst", "packed.txt.zst", forge_zst, damage),
                (".jsonl", "documents.jsonl", forge_json, none),
                (".jsonl.zst", "documents.jsonl.zst", forge_zst, damage),
            )
        ),
        Kind(
            ".bin and .idx", (Target("indexed.bin", raw, none), Target("indexed.idx", raw, none)),
            ("eval", "own.pt", "--data", "indexed.bin", "--tokens", "40", "--json"), ("own.pt",),
        ),
        Kind(
            "tokenized folder", (Target("cut/corpus.json", forge_json, damage), Target("cut/tokens.bin", raw, content)),
            ("eval", "characters.pt", "--data", "cut", "--tokens", "40", "--json"), ("characters.pt", "cut"),
        ),
        Kind("streams to resume", tuple(streams), ("simulate", "own.nir", *TEXT, "--tokens", "90", "--streams", "3", "--resume", "streams", "--json"),
             ("own.nir", "text.txt", "streams"), ("streams",)),
        Kind(
            "Loihi folder", (Target("loihi/model-int8.nir", forge_hdf5, content), Target("loihi/manifest.json", forge_json, damage)),
            ("simulate", "loihi", *short), ("loihi", "text.txt"),
        ),
        Kind(
            "Loihi folder, verify",
            (Target("loihi/model-int8.nir", forge_hdf5, content), Target("loihi/weights.npz", forge_zip, content), Target("loihi/manifest.json", forge_json, damage)),
            ("verify", "loihi", *short), ("loihi", "text.txt"), verdict=True,
        ),
        Kind("Loihi folder, run.py", (Target("loihi/weights.npz", forge_zip, content), Target("loihi/manifest.json", forge_json, damage)),
             ("loihi/run.py", "--tokens", "tokens.npy"), ("loihi", "tokens.npy")),
        Kind("tokens of run.py", (Target("tokens.npy", other_array, none),), ("loihi/run.py", "--tokens", "tokens.npy"), ("loihi",)),
    ]  # fmt: skip
