"""An exported folder that a stranger changed: its run.py ends in one short line."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from exporters import nir as exporter
from exporters.targets import export_to
from tests.conftest import lively_model


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "out"
    export_to("loihi", exporter.export(lively_model("spike-driven", n_embd=16)), folder)
    return folder


@pytest.fixture
def bundle(pristine, tmp_path) -> Path:
    """An export that a test may change."""
    np.save(tmp_path / "tokens.npy", np.array([1, 2]))
    return shutil.copytree(pristine, tmp_path / "copy")


def refused(bundle: Path, *arguments: str) -> str:
    """What run.py says, which is one line."""
    arguments = arguments or ("--tokens", "../tokens.npy")
    done = subprocess.run([sys.executable, "run.py", *arguments], cwd=bundle, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 1000
    assert "\x1b" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("text", ["[" * 200_000, json.dumps({"files": {"\x1b[2J" + "x" * 50_000: "0"}}), "{}", "[]"])
def test_a_manifest_of_any_content_is_refused(text, bundle):
    (bundle / "manifest.json").write_text(text)
    assert refused(bundle)


def test_a_manifest_that_leaves_the_weights_out_is_refused(bundle):
    forge(bundle, "weights.npz", (bundle / "weights.npz").read_bytes())
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["files"]["weights.npz"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert refused(bundle) == "run.py: changed since the export: 'weights.npz'\n"


def forge(bundle: Path, name: str, content: bytes) -> None:
    """Change a file and make its digest right."""
    (bundle / name).write_bytes(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


TOKENIZERS = (
    b"",
    b"[" * 200_000,
    b"[]",
    b"{}",
    b'{"kind": []}',
    b'{"kind": "\x1b[2J"}',
    b'{"kind": "json", "text": "{"}',
)


@pytest.mark.parametrize("content", TOKENIZERS)
def test_a_tokenizer_of_any_content_with_its_digest_right_is_refused(content, bundle):
    forge(bundle, "tokenizer.json", content)
    assert refused(bundle, "--text", "abc")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04\x95", b"\x93NUMPY\x01\x00"])
def test_weights_of_any_content_with_their_digest_right_are_refused(content, bundle):
    forge(bundle, "weights.npz", content)
    assert refused(bundle)


@pytest.mark.parametrize("made", [Path.mkdir, os.mkfifo, lambda place: place.symlink_to("/dev/zero")])
def test_a_manifest_that_is_no_regular_file_is_refused(made, bundle):
    (bundle / "manifest.json").unlink()
    made(bundle / "manifest.json")
    assert refused(bundle)
