"""`spikegpt export`: a checkpoint lowered to the files of a deployment target."""

from pathlib import Path

import click

from cli.inputs import load_graph
from spikegpt.errors import UserError


@click.command()
@click.argument("model", type=str)
@click.option("--target", required=True, help="nir, onnx or loihi; `--target list` says what each supports.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write; an earlier export there is replaced.")
@click.option("--dump-passes", type=click.Path(path_type=Path), help="Folder for the graph after each lowering pass.")
def export(model: str, target: str, out: Path | None, dump_passes: Path | None) -> None:
    """Lower a checkpoint (or a float .nir file) to a deployment target.

    Example: spikegpt export models/kjv-spike-driven.pt --target loihi --out out/loihi
    """
    from exporters.targets import TARGETS, export_to

    if target == "list":
        for known in TARGETS.values():
            click.echo(f"{known.name:8} {known.supports}")
        return
    if out is None:
        raise UserError("--out is missing: name the folder to write")
    if target not in TARGETS:
        raise UserError(f"target {target!r} is not one of {', '.join(TARGETS)}")
    graph = load_graph(model) if dump_passes is None else _dump(model, dump_passes)
    manifest = export_to(target, graph, out, Path(model))
    for name in manifest["files"]:
        click.echo(out / name)
    if "segments" in manifest:
        held, whole = manifest["synapses_in_segments"], manifest["synapses"]
        click.echo(f"{len(manifest['segments'])} portable segments hold {held / whole:.1%} of {whole:,} synapses")
    if quality := manifest.get("quality"):
        click.echo(
            f"int8 costs {quality['cost']:+.2%}: {quality['bits_per_token_float']:.4f} -> "
            f"{quality['bits_per_token_int8']:.4f} {quality['unit']} on {quality['text']}; "
            f"{quality['spike_agreement']:.2%} of the spikes agree"
        )
    for chip in manifest.get("footprint", ()):
        click.echo(
            f"{chip['chip']}: at least {chip['cores_at_least']} cores, {chip['chips_at_least']} chip(s) for "
            f"{chip['spike_fed_synapses']:,} synapses and {chip['neurons']:,} neurons"
        )


def _dump(model: str, folder: Path):
    """Lower a checkpoint and write the graph after each pass, e.g. 1-fold_embedding_norm.nir; `info` reads them."""
    import spikegpt
    from exporters import nir as exporter
    from spikegpt.files import directory

    if model.endswith(".nir"):
        raise UserError(f"{model} is lowered already; --dump-passes needs a checkpoint")
    if folder.exists():
        raise UserError(f"{folder} exists; name a new folder for --dump-passes")
    with directory(folder) as beside:
        steps: list[str] = []

        def watch(name: str, graph) -> None:
            exporter.write(graph, beside / f"{len(steps)}-{name}.nir")
            steps.append(name)

        return exporter.export(spikegpt.load(model), watch)
