"""What a Loihi user gets: graphs, integer plan, lava-dl files, Lava processes that run alone, mapping, cost."""

import json
from pathlib import Path

import nir

from exporters.loihi.cost import CALIBRATED, calibrate, code_length, recorded, text_of
from exporters.loihi.lava.runtime import ROOT, write_runtime
from exporters.loihi.mapping import fit, load_chip, map_plan
from exporters.loihi.mapping.describe import facts, headline, nothing_runs, table
from exporters.loihi.mapping.timing import RECORDED
from exporters.loihi.netx import write_nets
from exporters.loihi.readme import readme
from exporters.loihi.settings import Settings
from exporters.nir import write
from hw_sim.graph.origin import tokenizer_in
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan.checks import check_membranes

INT8_GRAPH, WEIGHTS, TOKENIZER = "model-int8.nir", "weights.npz", "tokenizer.json"
STANDARD = (
    "the embedding and a head that reads real numbers stay off the chip; every matrix that reads spikes is a Dense, "
    "every neuron a LIF"
)
CUSTOM = "LayerNorm, WKV, sigmoid, products and the residual stream need custom neurons (microcode) on silicon"


def write_bundle(graph: nir.NIRGraph, folder: Path, settings: Settings) -> dict:
    """Quantise `graph` and fill `folder`; returns what the manifest says of it. Raises UserError on a broken limit."""
    chip = load_chip(settings.chip)
    quantized = quantize(graph, settings.bits, settings.prune)
    plan = build(quantized)
    numbers = check_membranes(plan)
    fit(plan, chip, settings.chips)  # before the measurement, which takes longer
    measured, counts = code_length(graph, plan, settings)
    mapping = facts(map_plan(plan, chip, counts, settings.chips), recorded(plan, settings, RECORDED).spikes)
    described = json.dumps({**mapping, "measured": measured}, indent=1) + "\n"
    (folder / "mapping.json").write_text(described, encoding="utf-8")
    (folder / "mapping.txt").write_text(table(mapping), encoding="utf-8")
    write(graph, folder / "model.nir")
    write(quantized, folder / INT8_GRAPH)
    plan.save(folder / WEIGHTS)
    write_runtime(folder / "lava_runtime")
    if (told := tokenizer_in(graph)) is not None:
        (folder / TOKENIZER).write_text(json.dumps(told.to_dict()) + "\n")
    (folder / "run.py").write_bytes((ROOT / "exporters" / "loihi" / "run.py").read_bytes())
    nets = write_nets(plan, folder / "blocks")
    text, tokens = text_of(settings, plan.n_vocab, CALIBRATED)
    cost = {"measured": measured, "calibrated_on": text, **calibrate(graph, quantized, plan, tokens)}
    (folder / "quantisation.json").write_text(json.dumps(cost, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readme(nets, cost), encoding="utf-8")
    return {
        "numbers": numbers,
        "bits": settings.bits,
        "prune": settings.prune,
        "mapping": {"summary": headline(mapping), "warning": nothing_runs(mapping), **mapping["placement"]},
        "measured": measured,
        "spike_agreement": cost["spike_agreement"],
        "standard_processes": STANDARD,
        "custom_processes": CUSTOM,
        "blocks": nets,
    }
