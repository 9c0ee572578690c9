"""What a Loihi user gets: graphs, the integer plan, lava-dl files, Lava processes that run alone, what int8 cost."""

import json
from pathlib import Path

import nir
import numpy as np

from exporters.loihi import calibration, limits
from exporters.loihi.netx import write_nets
from exporters.loihi.quantize import quantize
from exporters.loihi.readme import readme
from exporters.loihi.runtime import ROOT, write_runtime
from exporters.nir import write
from hw_sim.planner import build
from spikegpt.corpus import load_corpus

INT8_GRAPH, WEIGHTS = "model-int8.nir", "weights.npz"
CALIBRATED = 8192  # tokens of the embedded text's test part
STANDARD = "embedding and head stay off the chip; every matrix that reads spikes is a Dense, every neuron a LIF"
CUSTOM = "LayerNorm, WKV, sigmoid, products and the residual stream need custom neurons (microcode) on silicon"


def write_bundle(graph: nir.NIRGraph, folder: Path) -> dict:
    """Quantise `graph` and fill `folder`; returns what the manifest says of it. Raises UserError on a broken limit."""
    quantized = quantize(graph)
    plan = build(quantized)
    numbers = limits.check_numbers(plan)
    write(graph, folder / "model.nir")
    write(quantized, folder / INT8_GRAPH)
    plan.save(folder / WEIGHTS)
    write_runtime(folder / "lava_runtime")
    (folder / "run.py").write_bytes((ROOT / "exporters" / "loihi" / "run.py").read_bytes())
    nets = write_nets(plan, folder / "blocks")
    text, tokens, unit = _calibration_text(graph, plan.n_vocab)
    quality = {
        "text": text,
        "unit": unit,
        **calibration.calibrate(graph, quantized, plan, tokens, lambda done: None),
    }
    (folder / "quantisation.json").write_text(json.dumps(quality, indent=1) + "\n")
    (folder / "README.md").write_text(readme(nets, calibration.table(quality)))
    return {
        "numbers": numbers,
        "quality": {key: quality[key] for key in ("text", "unit", *calibration.HEADLINE)},
        "footprint": [limits.footprint(plan, limits.load_chip(name)) for name in limits.CHIPS],
        "standard_processes": STANDARD,
        "custom_processes": CUSTOM,
        "blocks": nets,
    }


def _calibration_text(graph: nir.NIRGraph, n_vocab: int) -> tuple[str, np.ndarray, str]:
    """What the quality is measured on, its tokens (T,), and the unit of a code length."""
    corpus = load_corpus(None)
    tokens = corpus.split("test")[:CALIBRATED].astype(np.int64)
    text = f"the first {CALIBRATED:,} bytes of the test part of {corpus.name}"
    if n_vocab == 256 and graph.metadata.get("tokenizer", "bytes") in ("bytes", "unknown"):
        return text, tokens, "bits per byte"
    return f"{text}, as tokens that mean nothing to this vocabulary of {n_vocab}", tokens % n_vocab, "bits per token"
