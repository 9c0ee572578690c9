"""The calls of README and docstrings, as Python users make them."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import exporters
import spikegpt
from spikegpt import Config, SpikeGPT, UserError
from spikegpt.corpus import load_corpus
from spikegpt.transformer import Transformer


@pytest.mark.parametrize("module", ["spikegpt.calls", "exporters.calls", "spikegpt.huggingface"])
def test_examples_of_docstrings_run_as_they_are_printed(module):
    if module.endswith("huggingface"):
        pytest.importorskip("transformers")
    found = doctest.testmod(importlib.import_module(module))
    assert (found.failed, found.attempted > 2) == (0, True)


def test_what_the_readme_calls_is_found_behind_the_import_of_its_package_alone():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    block = readme.split("From Python:\n")[1].split("\n## ")[0]
    names = set(re.findall(r"\b((?:spikegpt|exporters|hw_sim)(?:\.\w+){2,})\(", block))
    assert {"exporters.nir.export", "spikegpt.snntorch_import.from_snntorch"} <= names
    for name in sorted(names):
        ended = subprocess.run([sys.executable, "-c", f"import {name.split('.')[0]}; {name}"], capture_output=True)
        assert (ended.returncode, ended.stderr) == (0, b""), name


def test_all_that_a_package_names_is_there():
    for package in (spikegpt, exporters, importlib.import_module("hw_sim")):
        assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = exporters.nothing


@pytest.mark.parametrize("kind", [SpikeGPT, Transformer])
def test_one_text_or_several_and_nothing_else(kind):
    model = kind(Config(256, 1, 16, "transformer" if kind is Transformer else "spike-driven")).eval()
    alone = model([1, 2, 3])
    assert alone.shape == (3, 256)
    assert np.allclose(model(np.array([[1, 2, 3]]))[0].detach(), alone.detach(), atol=1e-6)
    read_only = np.frombuffer(bytes([1, 2, 3]), np.uint8)
    assert np.allclose(model(read_only).detach(), alone.detach(), atol=1e-6)
    for wrong in ([], [[[1]]], [0.5], "text"):
        with pytest.raises(UserError) as caught:
            model(wrong)
        assert "\n" not in str(caught.value)


def test_a_model_in_memory_is_reported_on_as_its_file_is(tmp_path):
    model = SpikeGPT(Config(256, 1, 16))
    spikegpt.save(model, tmp_path / "m.pt")
    ours, files = (exporters.energy(m, tokens=300) for m in (model, tmp_path / "m.pt"))
    for of in ("synops", "bits_per_byte", "energy_j"):
        assert getattr(ours.subject, of) == getattr(files.subject, of)
    assert "<html" in ours.to_html()
    pandas = pytest.importorskip("pandas")
    frame = ours.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc["spike-driven", "synops"] == ours.subject.synops


def test_tokens_and_texts_are_scored_alike(tmp_path):
    model = SpikeGPT(Config(256, 1, 16)).eval()
    text = load_corpus().split("test")[:1000]
    found = spikegpt.evaluate(model, "kjv", tokens=1000)
    assert found == spikegpt.evaluate(model, np.asarray(text))
    whole = spikegpt.evaluate(model, "kjv", split="all", tokens=1000)
    assert whole == spikegpt.evaluate(model, np.asarray(load_corpus().tokens[:1000]))
    with pytest.raises(UserError, match="prompt is empty"):
        spikegpt.generate(model, "")
    unknown = SpikeGPT(Config(300, 1, 16))
    with pytest.raises(UserError, match="does not say how text becomes its tokens"):
        spikegpt.generate(unknown, "a")
