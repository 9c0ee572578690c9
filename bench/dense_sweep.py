"""Measures dense checkpoints on a part of a text and writes the data that equal-quality verdicts are read from.

    python bench/dense_sweep.py CKPT.. --data enwik8-4MB.txt --out hw_sim/energy/data/dense-enwik.json [--tokens 65536]

Bits per byte (one stream from an empty state, on the first 1,024, 2,048, .. tokens of the validation part) and the
share of inputs behind relu^2 that the simulator did not skip. A model of the same name is replaced; models of another
text are refused.
"""

import argparse
import hashlib
from pathlib import Path

import msgspec

import spikegpt
from exporters import nir as exporter
from hw_sim.energy.dense_models import DenseModel, DenseModels
from hw_sim.energy.measure import measure
from spikegpt.config import SPIKE_DRIVEN, TRANSFORMER
from spikegpt.corpus import load_corpus

FIRST = 1024  # tokens of the shortest part scored
SETTINGS = {"train_steps", "train_batch", "train_ctx", "train_lr", "train_seed", "train_bf16", "text_sha256", "teacher"}
BEHIND_RELU2 = "ffn_value"  # the one part of a block whose structure leaves zeros


def scored(path: Path, tokens, lengths: list[int]) -> DenseModel:
    """What the data says of one checkpoint."""
    model = spikegpt.load(path)
    variant = model.config.variant
    if variant in (SPIKE_DRIVEN, TRANSFORMER):
        raise SystemExit(f"{path}: a {variant} is no dense SpikeGPT")
    found = measure(exporter.export(model), "", variant, tokens, model.tokenizer)
    behind = [m for m in found.counts.matrices if m.name.endswith(BEHIND_RELU2)]
    name = path.parent.name if path.stem == "model" else path.stem
    return DenseModel(
        name=name,
        variant=variant,
        shape=found.shape,
        parameters=model.config.n_parameters,
        active={BEHIND_RELU2: sum(m.effective for m in behind) / sum(m.dense for m in behind)},
        bits_per_byte={str(n): round(found.bits_per_byte_of(n), 6) for n in lengths},
        training={k.removeprefix("train_"): v for k, v in model.provenance.items() if k in SETTINGS},
        checkpoint_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--name", default="the first 4,000,000 bytes of enwik8", help="of the text, in words")
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    corpus = load_corpus(args.data)
    tokens = corpus.split("valid")[: args.tokens]
    lengths = [n for n in (FIRST << i for i in range(20)) if n <= len(tokens)]
    prefixes = {str(n): hashlib.sha256(tokens[:n].tobytes()).hexdigest() for n in lengths}
    old = msgspec.json.decode(args.out.read_bytes(), type=DenseModels).models if args.out.exists() else ()
    models = {m.name: m for m in old}
    for path in args.checkpoints:
        model = scored(path, tokens, lengths)
        if model.training.get("text_sha256") != corpus.sha256:
            raise SystemExit(f"{path}: trained on another text")
        models[model.name] = model
        print(model.name, model.bits_per_byte[str(lengths[-1])], model.active, flush=True)
    found = DenseModels(
        text=f"{args.name}, validation part",
        text_sha256=corpus.sha256,
        tokens=len(tokens),
        written_by="bench/dense_sweep.py",
        prefixes=prefixes,
        models=tuple(sorted(models.values(), key=lambda m: m.parameters)),
    )
    args.out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    main()
