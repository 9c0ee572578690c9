"""`spikegpt compare`: energy reports of several models beside each other."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cli.energy import open_model, text_of
from cli.options import (
    Taken,
    checkpoint_options,
    data_option,
    force_option,
    goes_with,
    json_option,
    refuse,
    split_option,
    tokenizer_option,
    tokens_option,
)
from cli.parameters import Model, NewFile
from cli.progress import progress_bar
from hw_sim.energy.quality import TOKENS
from spikegpt import files
from spikegpt.documents import read_document
from spikegpt.errors import UserError

if TYPE_CHECKING:
    from hw_sim.energy.schema import Report

# Parameters that say how checkpoints are measured.
MEASURING = ("data", "tokenizer", "variant", "embedding", "split", "tokens")


@click.command(short_help="Energy reports beside each other on one page.")
@click.argument("sources", type=Model(rather="report.json"), nargs=-1, required=True)
@data_option
@tokenizer_option
@checkpoint_options
@split_option
@tokens_option(TOKENS)
@click.option("--out", type=NewFile(".html"), help="HTML file to write.")
@force_option
@json_option
@goes_with(force="out")
def compare(sources: tuple[str, ...], data: str | None, tokenizer: str | None, split: str | None, tokens: int,
            out: Path | None, force: bool, as_json: bool, taken: Taken) -> None:  # fmt: skip
    """Energy reports beside each other: of checkpoints and run folders, which are measured, or of a report.json.

    \b
    Example:
      spikegpt compare out/report shipped:kjv --tokens 2000 --out out/compare.html
    """
    from exporters.energy_report import distinct, report_of
    from hw_sim.energy.schema import Report

    if out is not None:
        files.check(out, force=force)
    found = [Path(source) for source in sources]
    if repeated := next((f for f in found if found.count(f) > 1), None):
        raise UserError(f"{repeated} is named twice; a report beside itself compares nothing")
    models = sum(f.suffix != ".json" for f in found)
    if not models:
        refuse("reports are shown as they are, nothing is measured", *MEASURING)
    reports: list[Report] = []
    with progress_bar("measuring", 2 * models * tokens, as_json or not models) as advance:
        for file in found:
            if file.suffix == ".json":
                reports.append(read_document(file, Report, "a report.json of `spikegpt energy-report`"))
            else:
                opened = open_model(str(file), taken, tokenizer)
                reports.append(report_of([opened], text_of(data, split, tokens), progress=advance))
    labels = [f.resolve().parent.name if f.stem in ("model", "last", "report") else f.stem for f in found]
    publish(dict(zip(distinct(list(map(str, found)), labels), reports, strict=True)), out, as_json)


def publish(reports: "dict[str, Report]", out: Path | None, as_json: bool) -> None:
    """Print the table of all, or all of them, and write the page."""
    if as_json:
        click.echo(msgspec.json.encode(reports))
    else:
        from cli.tables import print_beside

        print_beside(reports)
    if out:
        from hw_sim.energy.page import page

        files.write_text(out, page(reports), signed=True)
        click.echo(str(out), err=as_json)
