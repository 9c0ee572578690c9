"""`spikegpt tokenize`: a corpus of any size, cut into tokens once."""

import json
from pathlib import Path

import click

from cli.inputs import named_tokenizer
from cli.layout import folded
from cli.options import force_option, json_option, new_tokenizer_option
from cli.parameters import NewFolder
from cli.progress import progress_bar
from spikegpt.tokenizer import Bytes

ARRAY = ".npy"


@click.command(short_help="Cut texts into tokens once.")
@click.argument("texts", type=click.Path(path_type=Path), nargs=-1, required=True)
@new_tokenizer_option
@click.option("--out", type=NewFolder(), required=True, help="Folder to write, or a .npy for the token ids alone.")
@force_option
@json_option
def tokenize(texts: tuple[Path, ...], tokenizer: str | None, out: Path, force: bool, as_json: bool) -> None:
    """Cut texts into tokens once; `--data OUT` then reads them from disk, whatever their size.

    Takes plain and packed text, .jsonl (OpenWebText2), and kjv for the embedded King James Bible.

    \b
    Example:
      spikegpt tokenize kjv --tokenizer characters --out out/kjv
    """
    from spikegpt import files, folders
    from spikegpt.corpus import EMBEDDED, EMBEDDED_FILE, KIND, prepare, prepare_array

    texts = tuple(EMBEDDED_FILE if str(text) == EMBEDDED else text for text in texts)
    units = named_tokenizer(tokenizer) or Bytes()
    array = out.suffix == ARRAY
    if array:
        files.check(out, force=force)
    else:
        folders.check(out, KIND, force=force, reads=texts)
    with progress_bar("tokenizing", text_size(texts), quiet=as_json) as advance:
        if array:
            corpus = prepare_array(list(texts), units, out, advance)
        else:
            corpus = prepare(list(texts), units, out, advance, force)
    assert corpus.tokenizer is not None
    if as_json:
        facts = {"tokens": len(corpus.tokens), "vocab_size": corpus.tokenizer.vocab_size, "bytes": corpus.n_bytes}
        click.echo(json.dumps({**facts, "text_sha256": corpus.sha256, "out": str(out)}))
        return
    kinds = f"{corpus.tokenizer.vocab_size:,} kinds"
    click.echo(folded(f"{len(corpus.tokens):,} tokens of {kinds} from {corpus.n_bytes:,} bytes; {out}"))


def text_size(texts: tuple[Path, ...]) -> int | None:
    """Bytes of text to come, if the files say so without being unpacked."""
    packed = any(path.suffix in (".gz", ".bz2", ".xz", ".zip", ".zst") for path in texts)
    return None if packed else sum(path.stat().st_size for path in texts if path.is_file())
