"""What a Loihi user gets: the int8 graph, the integer plan, and Lava processes that run without this project."""

import json
from importlib import resources
from pathlib import Path

import nir

from exporters.loihi import limits
from exporters.loihi.mapping import fit, load_chip, map_plan
from exporters.loihi.mapping.describe import facts, headline, table
from exporters.loihi.quantize import quantize
from exporters.loihi.settings import Settings, measure
from exporters.nir import write
from hw_sim.planner import build

# The files that the Lava processes need, as they are; lava-nc and numpy are all that these import.
RUNTIME = {
    "exporters.loihi": ("compat.py", "stages.py", "worker.py"),
    "exporters.loihi.processes": ("__init__.py", "process.py", "models.py"),
    "hw_sim": ("plan.py", "interpreter.py", "fixed_point.py"),
}
STANDARD = "embedding and head stay off the chip; every matrix that reads spikes is a Dense, every neuron a LIF"
CUSTOM = "LayerNorm, WKV, sigmoid, products and the residual stream need custom neurons (microcode) on silicon"


def write_bundle(graph: nir.NIRGraph, folder: Path, settings: Settings) -> dict:
    """Quantise `graph` and fill `folder`; returns what the manifest says of it. Raises UserError on a broken limit."""
    chip = load_chip(settings.chip)
    quantized = quantize(graph, settings.bits, settings.prune)
    plan = build(quantized)
    numbers = limits.check_numbers(plan)
    fit(plan, chip, settings.chips)  # before the measurement, which takes longer
    measured, counts = measure(graph, plan, settings)
    mapping = facts(map_plan(plan, chip, counts, settings.chips))
    (folder / "mapping.json").write_text(json.dumps({**mapping, "measured": measured}, indent=1) + "\n")
    (folder / "mapping.txt").write_text(table(mapping))
    write(graph, folder / "model.nir")
    write(quantized, folder / "model-int8.nir")
    plan.save(folder / "plan.npz")
    for package, files in RUNTIME.items():
        target = folder / "lava_runtime" / Path(*package.split("."))
        target.mkdir(parents=True, exist_ok=True)
        for above in (target, *target.parents):
            if above == folder / "lava_runtime":
                break
            (above / "__init__.py").touch()  # else an installed spikegpt would win
        for name in files:
            (target / name).write_text(resources.files(package).joinpath(name).read_text())
    (folder / "run.py").write_text(resources.files("exporters.loihi").joinpath("run.py").read_text())
    return {
        "numbers": numbers,
        "bits": settings.bits,
        "prune": settings.prune,
        "mapping": {"summary": headline(mapping), **mapping["placement"]},
        "measured": measured,
        "standard_processes": STANDARD,
        "custom_processes": CUSTOM,
    }
