"""The report in its other forms: terminal, Markdown, CSV and LaTeX, and several reports beside each other."""

import csv
import io

import pytest
from click.testing import CliRunner

from cli import tables as terminal
from cli.commands import cli
from hw_sim.energy import cite, summary
from hw_sim.energy.markdown import FILES, document
from tests.energy_example import COLUMNS, HOSTILE, example


@pytest.fixture
def printed(capsys, monkeypatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    terminal.print_report(example(name="spike-driven (a-run-of-twenty)"))
    return capsys.readouterr().out


def test_eighty_columns_cut_no_name_and_no_figure(printed):
    report = example(name="spike-driven (a-run-of-twenty)")
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    for row in report.rows:
        assert row.name in printed
        for joules in row.energy_j.values():
            assert joules is None or summary.microjoules(joules) in printed
    for column in COLUMNS:
        assert column.profile in printed


def test_all_forms_open_with_the_same_verdict(printed):
    report = example(name="spike-driven (a-run-of-twenty)")
    sentence = summary.verdict(report)
    assert " ".join(sentence.split()) in " ".join(printed.split())
    files = document(report)
    assert sentence.replace("(", "(") in files["report.md"]
    assert set(files) <= set(FILES)
    assert all(name.startswith("report-charts/") == text.startswith("<svg") for name, text in files.items())


def test_the_verdict_says_who_is_cheaper_and_by_how_much():
    assert summary.verdict(example()) == (
        "For each token a Transformer of the same shape takes 7.7 to 17 times the energy of spike-driven and the same "
        "network without spikes 2.1 to 4.2 times, but non-spiking models of equal quality only 0.5 to 0.9 times."
    )


def test_csv_holds_every_energy_unrounded():
    report = example()
    head, *lines = csv.reader(io.StringIO(cite.as_csv(report)))
    for line, row in zip(lines, report.rows, strict=True):
        found = dict(zip(head, line, strict=True))
        for name, joules in row.energy_j.items():
            assert found[f"{name} [J]"] == ("" if joules is None else repr(joules))


def test_latex_escapes_names():
    latex = cite.as_latex(example(name="50%_of & more"))
    assert r"50\%\_of \& more" in latex
    assert latex.count(r"\\") == 1 + len(COLUMNS)


def test_reports_are_compared_from_files_and_their_differences_said(tmp_path):
    import msgspec

    for name, report in {"a": example(), "b": example(counted=False)}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_bytes(msgspec.json.encode(report))
    out = tmp_path / "compare.html"
    done = CliRunner().invoke(
        cli, ["compare", str(tmp_path / "a"), str(tmp_path / "b" / "report.json"), "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    assert "Not the same number of tokens" in done.output
    html = out.read_text(encoding="utf-8")
    assert html.count("<article") == 2
    assert HOSTILE not in html


def test_a_report_beside_itself_is_refused(tmp_path):
    (tmp_path / "report.json").write_text("{}")
    done = CliRunner().invoke(cli, ["compare", str(tmp_path), str(tmp_path / "report.json")])
    assert "named twice" in str(done.exception)
