"""`spikegpt verify`: every execution of a Loihi export on a text, compared spike by spike."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from cli.inputs import Learned, load_graph, load_text, lowered_file, tokenizer_of
from cli.layout import folded
from cli.options import (
    data_option,
    json_option,
    lava_python_option,
    refuse,
    split_option,
    tokenizer_option,
    tokens_option,
)
from cli.progress import progress_bar
from spikegpt.escape import printable, rich

if TYPE_CHECKING:
    from hw_sim.plan import Plan

DISAGREEMENT = 1  # exit code


@click.command(short_help="Run a Loihi export in every way and compare them.")
@click.argument("folder", type=click.Path(path_type=Path))
@data_option
@tokenizer_option
@split_option
@tokens_option(256)
@lava_python_option
@json_option
def verify(folder: Path, data: str | None, tokenizer: str | None, split: str | None, tokens: int,
           lava_python: str | None, as_json: bool) -> None:  # fmt: skip
    """Run a Loihi export in every execution of its integer plan; all must agree bit for bit.

    First every file must be what the manifest says. The last line is the verdict; exit code 1 on any disagreement.

    \b
    Example:
      spikegpt verify out/loihi --tokens 32
    """
    from exporters.loihi import agreement
    from exporters.manifest import read_export
    from spikegpt.folders import changed_files

    changed = changed_files(folder, read_export(folder, "loihi"))
    facts: dict[str, Any] = {"folder": str(folder), "changed_files": changed}
    if changed:
        facts["verdict"] = f"DISAGREE: changed since the export: {', '.join(map(printable, changed))}"
        click.echo(json.dumps({**facts, "agree": False}) if as_json else facts["verdict"])
        sys.exit(DISAGREEMENT)
    plan = agreement.read_plan(folder)
    name, digest, part = _tokens(folder, plan, data, tokenizer, split, tokens)
    started = time.perf_counter()
    with progress_bar(agreement.REFERENCE, len(part), as_json) as advance:
        expected = agreement.reference(plan, part, advance)
    facts |= {"text": name, "text_sha256": digest, "tokens": len(part)}
    facts["spikes"], facts["time_s"] = sum(expected.spike_counts.values()), time.perf_counter() - started
    rows = []
    for execution in agreement.EXECUTIONS:
        with progress_bar(execution.name, len(part[: execution.tokens]), as_json) as advance:
            rows.append(agreement.agreement(execution, plan, part, expected, lava_python, advance))
    facts["executions"] = [{**asdict(row), "agrees": row.agrees} for row in rows]
    facts["verdict"], facts["agree"] = agreement.verdict(rows), all(row.agrees for row in rows)
    if as_json:
        click.echo(json.dumps(facts))
    else:
        _print(facts)
    if not facts["agree"]:
        sys.exit(DISAGREEMENT)


def _tokens(folder: Path, plan: "Plan", data: str | None, tokenizer: str | None, split: str | None,
            tokens: int) -> tuple[str, str | None, np.ndarray]:  # fmt: skip
    """What is run, its name and digest: part of a text, or the steps that a network of another tool has built in."""
    from hw_sim.graph.files import read
    from hw_sim.graph.foreign import STEP_KEY

    if STEP_KEY in read(lowered_file(str(folder))).metadata:
        refuse(f"the inputs of {folder} are built in", "data", "split", "tokenizer")
        return "the inputs that are built in", None, np.arange(plan.n_vocab)[:tokens]
    graph = load_graph(str(folder))
    cut = tokenizer_of(str(folder), graph, tokenizer)
    corpus, part = load_text(data, split, tokens, cut, Learned.by_graph(str(folder), graph))
    return corpus.name, corpus.sha256, part


def _print(facts: dict[str, Any]) -> None:
    """The table, the populations that differ, and the verdict."""
    title = f"{facts['tokens']} tokens of {rich(facts['text'])}, {facts['spikes']:,} spikes"
    table = Table(title=title, title_justify="left")
    table.add_column("execution", no_wrap=True)
    for column in ("tokens", "spikes differ", "logits differ by", "time, s"):
        table.add_column(column, justify="right")
    table.add_row("event simulator", f"{facts['tokens']}", "reference", "reference", f"{facts['time_s']:.1f}")
    for row in facts["executions"]:
        if row["not_run"]:
            table.add_row(row["execution"], "not run", "", "", "")
            continue
        differ = f"{row['spike_mismatches']:,}"
        table.add_row(
            row["execution"], f"{row['tokens']}", differ, f"{row['max_logit_difference']:g}", f"{row['time_s']:.1f}"
        )
    Console().print(table)
    for row in facts["executions"]:
        if row["not_run"]:
            click.echo(folded(f"{row['execution']}: not run: {printable(row['not_run'])}"))
        for name, count in (row["mismatches_by_population"] or {}).items():
            click.echo(f"{row['execution']}: {count:,} spikes of {printable(name)} differ")
    click.echo(folded(facts["verdict"]))
