"""Vega-Lite specifications with their rows as SVG, and as Vega for the page's own switch; nothing is fetched."""

import json
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from hw_sim.energy.page.state import Chart, State

VEGA_LITE = "6.4"  # of those that vl-convert holds: the one that goes with the Vega of the page


@cache
def _read(name: str) -> str:
    return resources.files("hw_sim.energy.page").joinpath("specs", f"{name}.json").read_text(encoding="utf-8")


def specification(chart: Chart, state: State | None = None, column: str = "") -> dict[str, Any]:
    """The Vega-Lite specification of a picture, its data empty."""
    spec = json.loads(_read(chart.spec))
    values = {**chart.params, "column": column, "terms": state.terms if state else []}
    spec["params"] = [*spec.get("params", []), {"name": "legendColumns", "value": 4}]
    for param in spec["params"]:
        param["value"] = values.get(param["name"], param["value"])
    return spec | {"config": json.loads(_read("theme"))}


def svg(chart: Chart, state: State, column: str = "") -> str:
    """A picture as SVG; text stays text, and takes the colour of where it stands."""
    return _drawn(json.dumps(specification(chart, state, column) | {"data": {"name": "table", "values": state.rows}}))


@lru_cache(maxsize=64)  # every form of a report shows the same pictures
def _drawn(spec: str) -> str:
    import vl_convert

    return vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])


def standing_alone(drawn: str) -> str:
    """An SVG as a file of its own: black on white."""
    return drawn.replace("<svg ", '<svg style="background:#fff;color:#000" ', 1) + "\n"


def vega(chart: Chart) -> dict[str, Any]:
    """A picture as a Vega specification whose data set "table" the page fills."""
    import vl_convert

    return vl_convert.vegalite_to_vega(specification(chart), vl_version=VEGA_LITE)
