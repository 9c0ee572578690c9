"""The documentation: it builds without a warning, its notebooks and its three paths run as they stand."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
def test_the_site_builds_with_every_command_and_no_warning(tmp_path):
    pytest.importorskip("mkdocs")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    from cli.commands import cli

    commands = (tmp_path / "site" / "commands" / "index.html").read_text()
    assert all(f"spikegpt {name}" in commands for name in cli.commands)
    assert "read_recording" in (tmp_path / "site" / "api" / "index.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_its_first_cell_to_its_last(notebook):
    pytest.importorskip("snntorch")
    cells = json.loads(notebook.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.slow
def test_the_three_paths_run_as_they_stand(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("In the beginning God created the heaven and the earth. " * 300)
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "paths.md").read_text(), re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) >= 11
    for line in lines:
        name, *words = shlex.split(line)
        assert name == "spikegpt"
        code, _, err = run(*words)
        assert code == 0, (line, err)
    for left in ("out/report/report.html", "out/raster.html", "out/energy.xml", "out/curves.svg"):
        assert (tmp_path / left).is_file()
