"""`spikegpt tokenize`: a corpus of any size, cut into tokens once."""

from pathlib import Path

import click

from cli.inputs import named_tokenizer, new_tokenizer_option, progress_bar
from cli.parameters import NewFolder, force_option
from spikegpt.tokenizer import Bytes


@click.command()
@click.argument("texts", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True)
@new_tokenizer_option
@click.option("--out", type=NewFolder(), required=True, help="Folder to write.")
@force_option
def tokenize(texts: tuple[Path, ...], tokenizer: str | None, out: Path, force: bool) -> None:
    """Cut texts into tokens once; `--data OUT` then reads them from disk, whatever their size.

    Takes plain text, .xz, .zip (enwik8) and .jsonl or .jsonl.zst (OpenWebText2).

    Example: spikegpt tokenize enwik8.zip --tokenizer characters --out corpora/enwik8
    """
    from spikegpt import folders
    from spikegpt.corpus import KIND, prepare

    folders.check(out, KIND, force=force, reads=texts)

    with progress_bar("tokenizing", text_size(texts), quiet=False) as advance:
        corpus = prepare(list(texts), named_tokenizer(tokenizer) or Bytes(), out, advance, force)
    assert corpus.tokenizer is not None
    click.echo(
        f"{len(corpus.tokens):,} tokens of {corpus.tokenizer.vocab_size:,} kinds from {corpus.n_bytes:,} bytes; {out}"
    )


def text_size(texts: tuple[Path, ...]) -> int | None:
    """Bytes of text to come, if the files say so without being unpacked."""
    packed = any(path.suffix in (".xz", ".zip", ".zst") for path in texts)
    return None if packed else sum(path.stat().st_size for path in texts)
