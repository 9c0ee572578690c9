"""The model in models/: what the README says of it, measured again."""

import json

import numpy as np
import pytest

import spikegpt
from exporters import nir as exporter
from exporters.loihi.lava import supervisor
from hw_sim import Simulator
from hw_sim.counts.compare import compare
from hw_sim.energy.measure import bits_per_byte
from hw_sim.energy.schema import Shape
from hw_sim.energy.shapes import gpt
from hw_sim.graph.quantize import quantize
from hw_sim.plan.checks import check_membranes
from spikegpt.corpus import load_corpus
from spikegpt.record import record
from spikegpt.tokenizer import Bytes

TOKENS = 8000


@pytest.fixture(scope="module")
def path(request):
    return request.config.rootpath / "models" / "kjv-spike-driven.pt"


@pytest.fixture(scope="module")
def text() -> np.ndarray:
    return load_corpus().split("test")[:TOKENS].astype(np.int64)


@pytest.fixture(scope="module")
def graph(path):
    return exporter.export(spikegpt.load(path))


@pytest.fixture(scope="module")
def result(graph, text):
    return Simulator.from_nir(graph).run(text)


def test_it_fits_the_repository_and_names_its_text(path):
    assert path.stat().st_size < 8_000_000
    provenance = spikegpt.load(path).provenance
    assert provenance["text_sha256"] == load_corpus().sha256
    assert json.loads(path.with_suffix(".json").read_text())["provenance"] == provenance


def test_simulation_is_pytorch_on_1000_tokens_of_real_text(path, graph, text):
    ours = Simulator.from_nir(graph).run(text[:1000], record=True)
    agreement = compare(ours.logits, ours.spikes, *record(spikegpt.load(path), text[:1000]))
    assert agreement["spike_agreement"] > 1 - 1e-5
    assert agreement["max_logit_difference"] < 1e-3 or agreement["spike_mismatches"] > 0


def test_it_beats_the_byte_5_gram_on_the_held_out_tail(result, text):
    """Witten-Bell order 5, trained on the rest: 1.85. The head of the tail is harder than its mean (1.69)."""
    assert bits_per_byte(result.logits, text, Bytes()) < 1.85


def test_its_matrices_do_15_times_fewer_operations_than_those_of_a_gpt_at_the_context_of_training(path, result):
    context = spikegpt.load(path).config.ctx_len
    assert context == 256
    assert gpt("gpt", Shape(4, 256, 256), context).dense * TOKENS / (result.synops + result.macs) > 15
    assert all(m.spike_fed for m in result.matrices if m.name != "head")


def test_int8_costs_less_than_one_percent_in_quality_and_fits_the_chip(graph, result, text):
    simulator = Simulator.from_nir(quantize(graph))
    quantized = bits_per_byte(simulator.run(text).logits, text, Bytes())
    assert quantized < 1.01 * bits_per_byte(result.logits, text, Bytes())
    assert check_membranes(simulator.plan)["largest_possible_input"] <= 131071


@pytest.mark.lava
def test_lava_gives_every_spike_of_the_simulator_on_real_text(graph, text):
    simulator = Simulator.from_nir(quantize(graph))
    ours = simulator.run(text[:256], record=True)
    theirs = supervisor.run(simulator.plan, text[:256])
    agreement = compare(ours.logits, ours.spikes, theirs.logits, theirs.spikes)
    assert agreement["spike_mismatches"] == 0
    assert agreement["equal_logits"]
