"""The wheel: it carries everything that the tree holds for it, and works away from the tree."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from spikegpt.shipped import FOLDER, shipped

ROOT = Path(__file__).parents[1]
PACKAGES = ("cli", "exporters", "hw_sim", "spikegpt")
BUILD = "import sys, setuptools.build_meta as build; print(build.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder as pip would fill it, from a copy of the tree: building leaves files beside the sources."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    built = subprocess.run([sys.executable, "-c", BUILD, out], cwd=tree, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def call(site: Path, place: Path, *arguments: str) -> str:
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); import cli.main; cli.main.main()"
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code, site, *arguments], cwd=place, env=None, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_holds_every_file_of_the_packages(site):
    there = {str(f.relative_to(site)) for f in site.rglob("*") if f.is_file()}
    tree = {
        str(f.relative_to(ROOT))
        for name in PACKAGES
        for f in (ROOT / name).rglob("*")
        if f.is_file() and "__pycache__" not in f.parts
    }
    left = {name for name in tree - there if not name.endswith((".csv", ".svg"))}  # curves of the shipped models
    assert left == set()
    assert {f"{name}/py.typed" for name in PACKAGES} <= there
    assert {f"spikegpt/models/{model.path.name}" for model in shipped()} <= there


def test_its_models_are_named_from_anywhere(site, tmp_path):
    found = json.loads(call(site, tmp_path, "models", "--json"))
    assert [model["name"] for model in found] == [model.name for model in shipped()]
    assert all(Path(model["path"]).is_relative_to(site) for model in found)
    assert call(site, tmp_path, "generate", "shipped:kjv", "--tokens", "3").startswith("In the beginning")
    assert list(tmp_path.iterdir()) == []


def test_every_shipped_model_has_its_text_and_its_numbers():
    texts = yaml.safe_load((FOLDER / "texts.yaml").read_text())
    for model in shipped():
        assert model.name.split("-")[0] in texts
        assert 0 < model.valid < 8
        assert model.size == model.path.stat().st_size
    assert {text["model"] for text in texts.values()} <= {model.name for model in shipped()}


@pytest.mark.parametrize(
    ("named", "meant"),
    [("shipped:kjw", "shipped:kjv"), ("shipped:kjv-spike-drive", "shipped:kjv-spike-driven"), ("kjv", "shipped:kjv")],
)
def test_a_name_that_is_not_shipped_suggests_the_nearest(run, named, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("info", named)
    assert (code, out) == (2, "")
    assert err.endswith(f"did you mean {meant}?\n")
    assert len(err.splitlines()) == 1


def test_a_path_that_leads_nowhere_suggests_its_neighbour(run, tmp_path):
    (tmp_path / "model.pt").write_bytes(b"")
    code, _, err = run("eval", tmp_path / "modle.pt")
    assert code == 2
    assert err == f"spikegpt: {tmp_path}/modle.pt: no such file; did you mean {tmp_path}/model.pt?\n"
