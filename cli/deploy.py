"""`spikegpt simulate` and `energy-report`: from a checkpoint to spikes and joules."""

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click

from cli.inputs import load_graph, load_text, progress_bar, split_option, variant_of
from spikegpt import UserError, __version__


@click.command()
@click.argument("model", type=str)
@click.option("--data", type=str, help="Text or byte file; default: the embedded King James Bible.")
@split_option
@click.option("--tokens", type=click.IntRange(2), default=1000, show_default=True)
@click.option("--backend", type=click.Choice(["event", "lava"]), default="event", show_default=True)
@click.option("--int8", is_flag=True, help="Quantise first (always so with the lava backend).")
@click.option("--verify", type=str, help="Compare with this checkpoint in PyTorch, or on lava with the event backend.")
@click.option("--json", "as_json", is_flag=True)
def simulate(model: str, data: str | None, split: str | None, tokens: int, backend: str, int8: bool, verify: str | None,
             as_json: bool) -> None:  # fmt: skip
    """Run a checkpoint or .nir file event by event; counts spikes and synaptic operations.

    With `--backend lava` the int8 network runs as Lava processes and is compared with the event simulator.

    Example: spikegpt simulate models/kjv-spike-driven.pt --tokens 1000 --verify models/kjv-spike-driven.pt
    """
    from exporters.loihi.quantize import quantize
    from hw_sim import Simulator
    from hw_sim.energy.report import bits_per_byte

    graph = load_graph(model)
    corpus, part = load_text(data, split, tokens)
    simulator = Simulator.from_nir(graph)
    if (int8 or backend == "lava") and not simulator.plan.integer:
        simulator = Simulator.from_nir(quantize(graph))
    simulator.run(part[:1])  # loads the compiled loop, so that the time below is the run's
    simulator.reset()
    started = time.perf_counter()
    with progress_bar("simulating", len(part), as_json) as advance:
        result = simulator.run(part, record=bool(verify) or backend == "lava", progress=advance)
    elapsed = time.perf_counter() - started
    n = len(part)
    facts: dict[str, Any] = {
        "text": corpus.name,
        "text_sha256": corpus.sha256,
        "tokens": n,
        "precision": "int8" if simulator.plan.integer else "float32",
        "bits_per_byte": bits_per_byte(result.logits, part),
        "tokens_per_s": n / elapsed,
        "synops": result.synops,
        "macs": result.macs,
        "dense": result.dense,
        "matrices": {
            m.name: {"input": "spikes" if m.spike_fed else "real", "density": m.density, "operations": m.effective}
            for m in result.matrices
        },
        "spikes": result.spike_counts,
    }
    if backend == "lava":
        from exporters.loihi import supervisor
        from hw_sim.verify import compare

        lava = supervisor.run(simulator.plan, part)
        facts["lava"] = {**compare(result.logits, result.spikes, lava.logits, lava.spikes), "time_s": lava.time_s}
    if verify:
        from hw_sim.verify import compare
        from spikegpt.record import record

        facts["verify"] = {"checkpoint": verify, **compare(result.logits, result.spikes, *record(verify, part))}
    click.echo(json.dumps(facts) if as_json else summary(facts))
    if backend == "lava" and not (facts["lava"]["equal_logits"] and facts["lava"]["spike_mismatches"] == 0):
        click.echo("the Lava run differs from the event simulation", err=True)
        sys.exit(1)


def summary(facts: dict[str, Any]) -> str:
    """The facts of a simulation as text: one line a matrix, totals below."""
    n = facts["tokens"]
    lines = [f"{'matrix':26} input   density  operations/token"]
    lines += [
        f"{name:26} {m['input']:6} {m['density']:8.4f} {m['operations'] / n:17,.0f}"
        for name, m in facts["matrices"].items()
    ]
    lines.append(
        f"{facts['precision']}: {facts['bits_per_byte']:.4f} bits per byte over {n - 1:,} bytes of {facts['text']}; "
        f"{facts['tokens_per_s']:,.0f} tokens/s"
    )
    lines.append(
        f"per token: {facts['synops'] / n:,.0f} binary SynOps + {facts['macs'] / n:,.0f} MACs of "
        f"{facts['dense'] / n:,.0f} dense operations; {sum(facts['spikes'].values()) / n:,.0f} spikes"
    )
    for key, other in (("lava", "Lava"), ("verify", "PyTorch")):
        if key in facts:
            v = facts[key]
            lines.append(
                f"against {other}: {v['spike_mismatches']} of {v['spike_positions']:,} spikes differ "
                f"({v['spike_agreement']:.6%} agree), largest logit difference {v['max_logit_difference']:.3g}"
            )
    return "\n".join(lines)


@click.command("energy-report")
@click.argument("model", type=str)
@click.option("--data", type=str, help="Text or byte file; default: the embedded King James Bible.")
@split_option
@click.option("--tokens", type=click.IntRange(2), default=4096, show_default=True, help="Tokens to measure on.")
@click.option("--context", type=click.IntRange(1), default=1024, show_default=True, help="Position of the Transformer.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Streams that share weight reads.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.json and report.html.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the table.")
def energy_report(model: str, data: str | None, split: str | None, tokens: int, context: int, batch: int,
                  out: Path | None, as_json: bool) -> None:  # fmt: skip
    """What a model costs per token against a float32 Transformer of its shape, measured on a text.

    Example: spikegpt energy-report models/kjv-spike-driven.pt --out out/report
    """
    from exporters.loihi.quantize import quantize
    from hw_sim import Simulator
    from hw_sim.energy import report as energy
    from spikegpt.files import write_atomically

    graph = load_graph(model)
    variant = variant_of(graph)
    simulator = Simulator.from_nir(graph)
    if simulator.plan.integer:
        raise UserError(f"{model} holds int8 matrices; pass the checkpoint or its float .nir file")
    corpus, part = load_text(data, split, tokens)
    provenance = {
        "command": shlex.join(["spikegpt", *sys.argv[1:]]),
        "spikegpt": __version__,
        "model_file": Path(model).name,
        "model_sha256": _sha256(model),
        "text": corpus.name,
        "text_sha256": corpus.sha256,
        **{k: v.decode() if isinstance(v, bytes) else v for k, v in graph.metadata.items() if not hasattr(v, "shape")},
    }
    int8 = Simulator.from_nir(quantize(graph))
    with progress_bar("measuring", 2 * len(part), as_json) as advance:
        report = energy.build(
            simulator, variant, part, context=context, batch=batch, int8=int8, provenance=provenance, progress=advance
        )
    text = json.dumps(report, indent=1)
    if out:
        from hw_sim.energy.html import page

        html = page(report)
        write_atomically(out / "report.json", lambda beside: beside.write_text(text + "\n"))
        write_atomically(out / "report.html", lambda beside: beside.write_text(html))
    if as_json:
        click.echo(text)
    else:
        from cli.tables import print_report

        print_report(report)
        if out:
            click.echo(f"{out / 'report.html'}\n{out / 'report.json'}")


def _sha256(path: str) -> str:
    import hashlib

    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
