"""Names of strangers are shown, not obeyed: by a terminal, rich, matplotlib, browsers and readers of Markdown."""

import html
import io

import pytest
from rich.console import Console
from rich.text import Text

from spikegpt import UserError, escape

NAMES = [
    "plain name.txt", "a[red]b.txt", "mine[/x]", "\x1b]0;title\x07\x1b[2J", "two\nlines", "\u202egnp.exe", "\udcff",
    "<script>alert(1)</script>", "| a | b |", "$x^2$", "\\$5", "[link](http://x)",
    "**bold** _it_", "ends in \\", "Ü 字",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_on_one_line_without_anything_to_obey(name):
    shown = escape.printable(name)
    assert shown.isprintable()
    assert escape.printable(shown) == shown
    assert name == shown or not name.isprintable()
    assert Text.from_markup(f"[bold]{escape.rich(name)}[/bold]").plain == shown
    out = io.StringIO()
    Console(file=out, width=200).print(f"[bold]{escape.rich(name)}[/bold]")
    assert out.getvalue() == f"{shown}\n"
    assert html.unescape(escape.html(name)) == shown
    assert "<" not in escape.html(name)


@pytest.mark.parametrize("name", NAMES)
def test_matplotlib_draws_dollars_instead_of_mathematics(name):
    cbook = pytest.importorskip("matplotlib.cbook")
    drawn = escape.mathtext(name)
    assert not cbook.is_math_text(drawn)
    assert drawn.replace(r"\$", "$") == escape.printable(name)


@pytest.mark.parametrize("name", NAMES)
def test_markdown_renders_the_name(name):
    renderer = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    (_, inline, _) = renderer.parse(f"x{escape.markdown(name)}x")
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}
    cell = renderer.render(f"| a |\n|---|\n| {escape.markdown(name)} |\n")
    assert html.unescape(cell).count("<td>") == 1
    assert escape.printable(name) in html.unescape(cell)


def test_an_error_is_never_longer_than_a_reader_takes():
    said = str(UserError("beginning " + "x" * 100_000 + " end"))
    assert len(said) <= 1000
    assert said.startswith("beginning x")
    assert said.endswith("x end")
    assert str(UserError("short")) == "short"
