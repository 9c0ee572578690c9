"""Costs token by token add up to those of the whole text, and are drawn for what they are."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

import spikegpt
from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.counts.counts import Counts
from hw_sim.energy import profiles
from hw_sim.energy.by_token import by_token, texts_of
from hw_sim.energy.measure import counted
from hw_sim.energy.page.text_raster import page
from hw_sim.energy.price import price
from hw_sim.graph.quantize import quantize
from spikegpt import Config, SpikeGPT, UserError
from spikegpt.tokenizer import Bytes
from tests.conftest import lively_model

TEXT = "a $x$ <b>é\n"


@pytest.mark.parametrize("integer", [False, True], ids=["float32", "int8"])
def test_costs_of_tokens_add_up_to_those_of_the_text(integer, tokens):
    graph = exporter.export(lively_model("spike-driven"))
    graph = quantize(graph) if integer else graph
    precision, profile = "int8" if integer else "fp32", profiles.shipped()["45nm-memory"]
    costs = by_token(Simulator.from_nir(graph), tokens, Bytes(), profile)
    simulator = Simulator.from_nir(graph)
    whole = simulator.run(tokens, record=True)
    assert int(costs.synops.sum()) == whole.synops
    assert all((costs.spikes[name] == whole.spikes[name]).all() for name in whole.spikes)
    energy = price(counted("", simulator.plan, Counts(whole.matrices, whole.populations)), profile, precision)
    assert costs.energy_j.mean() == pytest.approx(energy.total_j)
    assert costs.column == f"45nm-memory-{precision}"


def test_a_character_of_several_tokens_stands_at_its_last():
    assert list(texts_of(np.frombuffer(TEXT.encode(), np.uint8), Bytes())) == [*"a $x$ <b>", "", "é", "\n"]
    assert list(texts_of(np.array([255, 97, 0xC3]), Bytes())) == ["\\xff", "a", "\\xc3"]


def test_the_page_holds_the_text_as_text_and_every_figure(tokens):
    graph = exporter.export(lively_model("spike-driven"))
    costs = by_token(Simulator.from_nir(graph), tokens[:4], Bytes(), profiles.shipped()["45nm-memory"])
    shown = page(costs, list(costs.spikes)[:1], "a <script>")
    assert "<script>" not in shown
    assert "http://" not in shown.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert all(f": {value:,} SynOps" in shown for value in costs.synops.tolist())


def test_a_prices_without_this_precision_or_network_are_refused(tokens):
    graph = exporter.export(lively_model("continuous"))
    with pytest.raises(UserError, match="prices no network without spikes"):
        by_token(Simulator.from_nir(graph), tokens[:1], Bytes(), profiles.shipped()["lemaire2022"])
    with pytest.raises(UserError, match="no prices in fp32"):
        by_token(Simulator.from_nir(graph), tokens[:1], Bytes(), profiles.shipped()["loihi1-silicon"])


def test_pictures_as_typed(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spikegpt.save(SpikeGPT(Config(256, 2, 16)), "m.pt")
    for name in ("r.html", "r.svg", "r.png"):
        assert run("raster", "m.pt", "--prompt", TEXT, "--out", name)[:2] == (0, f"{name}\n")
        first = (tmp_path / name).read_bytes()
        assert run("raster", "m.pt", "--prompt", TEXT, "--out", name)[0] == 0
        assert (tmp_path / name).read_bytes() == first
    ElementTree.parse("r.svg")
    assert "&lt;" in (tmp_path / "r.html").read_text()
    wanted = ("--population", "block1_ffn_*", "--json")
    facts = json.loads(run("raster", "m.pt", "--prompt", TEXT, "--out", "r.svg", *wanted)[1])
    assert set(facts["spikes"]) == {f"block1_ffn_{kind}_lif" for kind in ("key", "receptance", "value")}
    assert len(facts["synops"]) == len(facts["energy_j"]) == len(TEXT.encode())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--population", "block0_at_key_lif"), "did you mean block0_att_key_lif?"),
        (("--prompt", ""), "0 tokens"),
        (("--prompt", "a" * 2001), "2,001 tokens"),
        (("--profile", "46nm"), "46nm"),
        (("--out", "x.pdf"), "does not end with"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(arguments, said, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spikegpt.save(SpikeGPT(Config(256, 1, 16)), "m.pt")
    code, out, err = run("raster", "m.pt", "--out", "x.svg", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert not (tmp_path / "x.svg").exists()
