"""What every page is made of: its template, style and script, links, and data that a script element may hold."""

import base64
import json
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

from hw_sim.energy.page.state import State
from hw_sim.energy.schema import Column

VEGA = "vega-6.2.0"  # the version of the Vega that vl-convert compiles for
LINKS = re.compile(r"(?P<arxiv>arXiv:? ?(?P<number>\d{4}\.\d{4,5}))|(?P<doi>doi:? ?(?P<at>10\.\d{4,9}/[^\s;,)]+))")


def rendered(*, switched: bool, data: dict[str, Any], **told: Any) -> str:
    """page.html with what it says; `switched`: pictures follow the switch, with Vega in the page."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"linked": linked, "data_uri": data_uri}
    return environment.from_string(_file("page.html")).render(
        css=markup(_file("page.css")),
        js=markup(_file("page.js")),
        vega=markup(f"/* {_file(VEGA + '.LICENSE')} */\n{_file(VEGA + '.min.js')}") if switched else "",
        data=_json(data),
        **told,
    )


def choices(columns: Iterable[Column]) -> dict[str, list[str]]:
    """Precisions by profile, as the switch offers them."""
    found: dict[str, list[str]] = {}
    for c in columns:
        found.setdefault(c.profile, []).append(c.precision)
    return found


def compact(state: State) -> dict[str, Any]:
    """Rows as lists: names of fields once."""
    fields = list(dict.fromkeys(key for row in state.rows for key in row))
    rows = [[_short(row.get(key)) for key in fields] for row in state.rows]
    return {"title": state.title, "text": state.text, "fields": fields, "rows": rows, "terms": state.terms}


def _short(value: Any) -> Any:
    """Six digits are more than a picture shows."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def linked(text: str) -> str:
    """Papers named by arXiv number or DOI as links; the rest escaped."""
    from markupsafe import Markup, escape

    parts, end = [], 0
    for m in LINKS.finditer(text):
        at = f"https://arxiv.org/abs/{m['number']}" if m["arxiv"] else f"https://doi.org/{m['at']}"
        parts += [escape(text[end : m.start()]), Markup('<a href="{}">{}</a>').format(at, m[0])]
        end = m.end()
    return Markup("").join([*parts, escape(text[end:])])


def data_uri(text: str, kind: str) -> str:
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"


def _json(value: Any) -> Any:
    """JSON that is safe inside a script element."""
    return markup(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def markup(text: str) -> Any:
    """Text that the template takes as it is."""
    from markupsafe import Markup

    return Markup(text)


@cache
def _file(name: str) -> str:
    return resources.files("hw_sim.energy.page").joinpath(name).read_text(encoding="utf-8")
