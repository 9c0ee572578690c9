"""The report in its other forms: terminal, Markdown, CSV and LaTeX, and several reports beside each other."""

import csv
import io

import pytest
from click.testing import CliRunner

from cli import tables as terminal
from cli.commands import cli
from hw_sim.energy import cite, detail_tables, summary
from hw_sim.energy.markdown import FILES, document
from tests.energy_example import HOSTILE, example
from tests.energy_parts import COLUMNS


@pytest.fixture
def printed(capsys, monkeypatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    terminal.print_report(example(name="spike-driven (a-run-of-twenty)"))
    return capsys.readouterr().out


def test_eighty_columns_cut_no_name_and_no_figure(printed):
    report = example(name="spike-driven (a-run-of-twenty)")
    assert max(map(len, printed.splitlines())) <= 80
    assert "\\n" not in printed
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


def test_quality_says_how_sure_it_is_and_of_which_bytes():
    assert summary.quality(example()).startswith(
        "Quality: 1.900 bits per byte (measured; 95% interval 1.840 to 1.980, about ±3.7%) on 512 tokens of "
    )
    assert summary.quality(example()).endswith(", 600 bytes from token 4,096, sha256 cdcdcdcdcdcd.")
    assert summary.quality(example(counted=False)) == "Quality: not known, as nothing was run."


def test_what_stands_beside_the_comparison_is_a_table_of_its_own():
    found = {t.name: t for t in detail_tables.tables(example())}
    assert found["chips"].rows == [
        ["loihi1-silicon", "spike-driven-int8", "fitted", "12", "1", "4.250", "104.000",
         "108.250"]
    ]  # fmt: skip
    (left,) = found["chips-left-out"].rows
    assert left[1:3] == ["Loihi 1, at least, from the shape", "LayerNorm, WKV"]
    assert "head, 8,000 MACs (67% of the matrices' operations)" in left[3]
    assert [row[1:] for row in found["host"].rows] == [
        ["µs a token", "12.5", "11.5", "14.5"],
        ["µJ a token, all counters", "321", "311", "333"],
        ["µJ a token, without the idle machine", "123", "111", "135"],
    ]
    assert found["compressors"].rows == [["xz", "LZMA2, preset 9", "3.125", "2.375"]]
    assert found["systems"].rows[0][2] == "405 mJ a token"
    assert found["static"].rows == [["loihi1-silicon", "1", "100,000.000", "100.000"]]
    assert found["footprint"].rows[0][5:8] == ["120", "30", "900"]
    without = {t.name for t in detail_tables.tables(example(counted=False))}
    assert not without & {"chips", "chips-left-out", "host", "compressors", "static"}


def test_the_terminal_shows_this_machine_and_compressors_where_they_were_asked_for(printed):
    assert "This machine (measured)" in printed
    assert "energy counters of package-0 [all of it]" in " ".join(printed.split())
    assert "xz" in printed and "2.375" in printed
