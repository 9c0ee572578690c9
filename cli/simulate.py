"""`spikegpt simulate`: a lowered model on a text, event by event, or on Lava."""

import json
import sys
import time
from typing import Any

import click

from cli.inputs import (
    data_option,
    lava_python_option,
    load_graph,
    load_text,
    progress_bar,
    split_option,
    tokenizer_of,
    tokenizer_option,
)
from spikegpt.errors import UserError


@click.command()
@click.argument("model", type=str)
@data_option
@tokenizer_option
@split_option
@click.option("--tokens", type=click.IntRange(2), default=1000, show_default=True)
@click.option("--backend", type=click.Choice(["event", "lava"]), default="event", show_default=True)
@lava_python_option
@click.option("--int8", is_flag=True, help="Quantise first (always so with the lava backend).")
@click.option("--verify", type=str, help="Compare with this checkpoint in PyTorch, or on lava with the event backend.")
@click.option("--json", "as_json", is_flag=True)
def simulate(model: str, data: str | None, tokenizer: str | None, split: str | None, tokens: int, backend: str,
             lava_python: str | None, int8: bool, verify: str | None, as_json: bool) -> None:  # fmt: skip
    """Run a checkpoint, .nir file or Loihi export event by event; counts spikes and synaptic operations.

    With `--backend lava` the int8 network runs as Lava processes and is compared with the event simulator.

    Example: spikegpt simulate models/kjv-spike-driven.pt --tokens 1000 --verify models/kjv-spike-driven.pt
    """
    from exporters.loihi.quantize import quantize
    from hw_sim import Simulator
    from hw_sim.energy.measure import bits_per_byte

    if lava_python is not None and backend != "lava":
        raise UserError("--lava-python goes with --backend lava")
    graph = load_graph(model)
    cut = tokenizer_of(model, graph, tokenizer)
    corpus, part = load_text(data, split, tokens, cut)
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
        "bits_per_byte": bits_per_byte(result.logits, part, cut),
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

        with progress_bar("running Lava", len(part), as_json) as advance:
            lava = supervisor.run(simulator.plan, part, python=lava_python, progress=advance)
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
        f"{facts['precision']}: {facts['bits_per_byte']:.4f} bits per byte over {n - 1:,} tokens of {facts['text']}; "
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
