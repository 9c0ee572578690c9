"""Every way in which the product reads a file: the command, what is mutated, and which changes must be noticed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from tests.campaign.containers import forge_hdf5, forge_text_zip, forge_xz, forge_zip, forge_zst, other_array
from tests.campaign.damage import Rng, word
from tests.campaign.documents import forge_json, forge_safetensors, forge_yaml

Forge = Callable[[bytes, Rng], bytes]


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


NOTHING, DAMAGE, CONTENT = Notices
# How a file may be forged and what of it must be noticed, by its name; `word` is for files without a structure.
TARGETS = {
    target.path: target
    for target in (
        Target("own.pt", forge_zip, DAMAGE),
        Target("own.safetensors", forge_safetensors, DAMAGE),
        Target("flat.pth", forge_zip, DAMAGE),
        Target("legacy.pth", word, NOTHING),
        Target("wrapped.pth", forge_zip, DAMAGE),
        Target("flat.safetensors", forge_safetensors, NOTHING),
        Target("sharded/model-00001-of-00002.safetensors", forge_safetensors, NOTHING),
        Target("sharded/model.safetensors.index.json", forge_json, NOTHING),
        Target("own.nir", forge_hdf5, DAMAGE),
        Target("int8.nir", forge_hdf5, DAMAGE),
        Target("packed.nir", forge_hdf5, NOTHING),
        Target("foreign.nir", forge_hdf5, NOTHING),
        Target("recurrent.nir", forge_hdf5, NOTHING),
        Target("inputs.npy", other_array, NOTHING),
        Target("segment.nir", forge_hdf5, NOTHING),  # laid out for other tools
        Target("segment.npz", forge_zip, DAMAGE),
        Target("state.npz", forge_zip, DAMAGE),
        Target("prices.yaml", forge_yaml, NOTHING),
        Target("rates.yaml", forge_yaml, NOTHING),
        Target("chip.yaml", forge_yaml, NOTHING),
        Target("placement.json", forge_json, NOTHING),
        Target("report/report.json", forge_json, NOTHING),
        Target("words.json", forge_json, NOTHING),
        Target("vocabulary.json", forge_json, NOTHING),
        Target("text.txt", word, NOTHING),
        Target("packed.txt.xz", forge_xz, DAMAGE),
        Target("packed.zip", forge_text_zip, DAMAGE),
        Target("packed.txt.zst", forge_zst, DAMAGE),
        Target("documents.jsonl", forge_json, NOTHING),
        Target("documents.jsonl.zst", forge_zst, DAMAGE),
        Target("indexed.bin", word, NOTHING),
        Target("indexed.idx", word, NOTHING),
        Target("cut/corpus.json", forge_json, DAMAGE),
        Target("cut/tokens.bin", word, CONTENT),
        Target("cut/manifest.json", forge_json, DAMAGE),
        Target("streams/run.json", forge_json, DAMAGE),
        Target("streams/stream2.json", forge_json, DAMAGE),
        Target("run/last.pt", forge_zip, DAMAGE),
        Target("run/run.json", forge_json, DAMAGE),
        Target("loihi/model-int8.nir", forge_hdf5, CONTENT),
        Target("loihi/weights.npz", forge_zip, CONTENT),
        Target("loihi/manifest.json", forge_json, DAMAGE),
        Target("tokens.npy", other_array, NOTHING),
        Target("run/log.csv", word, NOTHING),
        Target("settings.yaml", forge_yaml, NOTHING),
    )
}
WHAT_IF = "energy-report --preset tiny --json"
RESUMED = "train --data text.txt --layers 1 --width 8 --ctx 16 --batch 2 --steps 60 --device cpu --out run --resume"
SMALL = "--data text.txt --layers 1 --width 8 --ctx 16 --batch 2 --device cpu --out made"
SHORT = "--data text.txt --tokens 40 --json"


def kind(
    name: str, targets: str, command: str, needs: str = "text.txt", writes: str = "", verdict: bool = False
) -> Kind:
    """A Kind from names apart by spaces."""
    command = command.replace("SHORT", SHORT).replace("WHAT_IF", WHAT_IF).replace("SMALL", SMALL)
    mutated = tuple(TARGETS[path] for path in targets.split())
    return Kind(name, mutated, tuple(command.split()), tuple(needs.split()), tuple(writes.split()), verdict)


KINDS = (
    kind("checkpoint .pt", "own.pt", "eval own.pt SHORT"),
    kind("checkpoint .pt, info", "own.pt", "info own.pt --json"),
    kind("checkpoint .pt, generate", "own.pt", "generate own.pt --tokens 8"),
    kind("checkpoint .safetensors", "own.safetensors", "eval own.safetensors SHORT"),
    kind("flat .pth", "flat.pth", "eval flat.pth SHORT"),
    kind("flat .pth of old torch", "legacy.pth", "eval legacy.pth SHORT"),
    kind("wrapped .pth", "wrapped.pth", "eval wrapped.pth SHORT"),
    kind("flat .safetensors", "flat.safetensors", "eval flat.safetensors SHORT"),
    kind(
        "sharded checkpoint",
        "sharded/model-00001-of-00002.safetensors sharded/model.safetensors.index.json",
        "eval sharded SHORT",
        "text.txt sharded",
    ),
    kind(".nir", "own.nir", "simulate own.nir SHORT"),
    kind(".nir, int8", "int8.nir", "simulate int8.nir SHORT"),
    kind(".nir, gzip", "packed.nir", "simulate packed.nir SHORT"),
    kind(".nir, info", "own.nir", "info own.nir --json"),
    kind(".nir, export", "own.nir", "export own.nir --target nir --out made", writes="made"),
    kind(".nir of another tool", "foreign.nir", "replay foreign.nir inputs.npy --json", "inputs.npy"),
    kind(".nir with recurrence", "recurrent.nir", "replay recurrent.nir inputs.npy --json", "inputs.npy"),
    kind("inputs .npy", "inputs.npy", "replay foreign.nir inputs.npy --json", "foreign.nir"),
    kind("recording .npz", "segment.npz", "replay segment.nir segment.npz --json", "segment.nir", verdict=True),
    kind("segment .nir", "segment.nir", "replay segment.nir segment.npz --json", "segment.npz", verdict=True),
    kind("state .npz", "state.npz", "simulate own.nir SHORT --load-state state.npz", "own.nir text.txt"),
    kind("price profile", "prices.yaml", "WHAT_IF --rate 0.1 --profile prices.yaml", ""),
    kind("price profile, list", "prices.yaml", "profiles prices.yaml", ""),
    kind("assumed rates", "rates.yaml", "WHAT_IF --rates rates.yaml", ""),
    kind("placement", "placement.json", "energy-report own.pt SHORT --placement placement.json", "own.pt text.txt"),
    kind(
        "baseline report",
        "report/report.json",
        "energy-report own.pt SHORT --baseline report/report.json",
        "own.pt text.txt",
        verdict=True,
    ),
    kind(
        "chip",
        "chip.yaml",
        "export own.nir --target loihi --chip chip.yaml --out made --data text.txt --tokens 20",
        "own.nir text.txt",
        "made",
    ),
    kind("tokenizer, JSON", "words.json", "tokenize text.txt --tokenizer words.json --out made", writes="made"),
    kind("vocabulary", "vocabulary.json", "tokenize text.txt --tokenizer vocabulary.json --out made", writes="made"),
    kind("text", "text.txt", "eval own.pt SHORT", "own.pt"),
    kind("text, characters", "text.txt", "tokenize text.txt --tokenizer characters --out made", "", "made"),
    kind("text .xz", "packed.txt.xz", "tokenize packed.txt.xz --out made", "", "made"),
    kind("text .zip", "packed.zip", "tokenize packed.zip --out made", "", "made"),
    kind("text .zst", "packed.txt.zst", "tokenize packed.txt.zst --out made", "", "made"),
    kind("text .jsonl", "documents.jsonl", "tokenize documents.jsonl --out made", "", "made"),
    kind("text .jsonl.zst", "documents.jsonl.zst", "tokenize documents.jsonl.zst --out made", "", "made"),
    kind(
        ".bin and .idx",
        "indexed.bin indexed.idx",
        "eval own.pt --data indexed.bin --tokens 40 --json",
        "own.pt",
    ),
    kind(
        "tokenized folder",
        "cut/corpus.json cut/tokens.bin cut/manifest.json",
        "eval characters.pt --data cut --tokens 40 --json",
        "characters.pt cut",
    ),
    kind(
        "streams to resume",
        "streams/run.json streams/stream2.json",
        "simulate own.nir --data text.txt --tokens 90 --streams 3 --resume streams --json",
        "own.nir text.txt streams",
        "streams",
    ),
    kind("training run to resume", "run/last.pt run/run.json", RESUMED, "text.txt run", "run"),
    kind("Loihi folder", "loihi/model-int8.nir loihi/manifest.json", "simulate loihi SHORT", "loihi text.txt"),
    kind(
        "Loihi folder, verify",
        "loihi/model-int8.nir loihi/weights.npz loihi/manifest.json",
        "verify loihi SHORT",
        "loihi text.txt",
        verdict=True,
    ),
    kind(
        "Loihi folder, run.py",
        "loihi/weights.npz loihi/manifest.json",
        "loihi/run.py --tokens tokens.npy",
        "loihi tokens.npy",
    ),
    kind("tokens of run.py", "tokens.npy", "loihi/run.py --tokens tokens.npy", "loihi"),
    kind("token ids", "tokens.npy", "simulate own.nir --data tokens.npy --json", "own.nir"),
    kind("training settings", "settings.yaml", "train --settings settings.yaml --steps 2 SMALL", "text.txt", "made"),
    kind("curves of a run", "run/log.csv run/run.json", "plot run --out made.svg --json", "run", "made.svg"),
)
