"""Hooks of mkdocs: pages that stand elsewhere in the repository, or are made of the program, on the site."""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = {"index.md": "README.md", "house.md": "ARCHITECTURE.md", "models.md": "models/README.md"}
REPOSITORY = "the repository: "
# Where links lead on the site, by where they lead in the repository.
LINKS = {page: source for source, page in PAGES.items()}


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for page, source in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "commands.md", content=commands()))
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=as_page(notebook)))
    return files


def commands() -> str:
    """A page of all commands, each as `--help` says it."""
    from cli.commands import cli

    parts = ["# Commands\n", "Every example runs as it is printed; `spikegpt COMMAND --help` shows the same.\n"]
    for name, command in sorted(cli.commands.items()):
        parts.append(
            f"::: mkdocs-click\n    :module: {command.callback.__module__}\n    :command: {variable(command)}\n"
            f"    :prog_name: spikegpt {name}\n    :depth: 1\n    :style: table\n"
        )
    return "\n".join(parts)


def variable(command: Any) -> str:
    """What a command is called in its module."""
    import importlib

    module = importlib.import_module(command.callback.__module__)
    return next(name for name, value in vars(module).items() if value is command)


def as_page(notebook: Path) -> str:
    """The cells of a notebook as Markdown; what they print is in the tests, not here."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    kinds = [cell["cell_type"] for cell in cells]
    shown = [t if k == "markdown" else f"```python\n{t}\n```" for t, k in zip(texts, kinds, strict=True)]
    return "\n\n".join(shown) + "\n"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links between files of the repository to the pages that these became; others are named, not linked."""
    here = (ROOT / PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")).parent

    def led(found: re.Match) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        if "://" in target or target.startswith("#") or not target:
            return found[0]
        place = (here / target).resolve()
        if not place.is_relative_to(ROOT):
            return found[0]
        name = str(place.relative_to(ROOT))
        if name in LINKS:
            return f"[{text}]({relative(LINKS[name], page)}{anchor})"
        if name.startswith("docs/") and place.exists():
            return f"[{text}]({relative(name.removeprefix('docs/'), page)}{anchor})"
        return f"{text} (`{name}`)"

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)", led, markdown)


def relative(target: str, page: Any) -> str:
    return "../" * page.file.src_uri.count("/") + target
