"""What `--help` says: every command has an example, summaries fit a terminal, and examples run as they are printed."""

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from cli.commands import SUBJECTS, cli
from cli.settings import HELP, NOT_OPTIONS
from spikegpt.train_config import TrainConfig

# Exports come before what reads them; the rest in the order of the help.
FIRST = ("export", "energy-report", "train")
OWN = {"--data": ("count", "check"), "--tokenizer": ("tokenize", "train")}  # any network's inputs; a new vocabulary
HEADING = re.compile(r"^  Example:\n((?:    .*\n)+)", re.MULTILINE)


def help_of(*command: str) -> str:
    shown = CliRunner().invoke(cli, [*command, "--help"], prog_name="spikegpt", terminal_width=80)
    assert shown.exit_code == 0
    return shown.output


def examples(*command: str) -> list[str]:
    (block,) = HEADING.findall(help_of(*command))
    return [line.strip() for line in block.splitlines()]


def test_every_command_has_a_subject_and_a_summary_that_is_not_cut():
    shown = help_of()
    listed = [command for commands in SUBJECTS.values() for command in commands]
    assert {command.name for command in listed} == set(cli.commands)
    for command in listed:
        assert re.search(rf"^  {command.name} +{re.escape(command.short_help)}$", shown, re.MULTILINE)
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "..." not in shown.replace("[ARGS]...", "")


def test_options_of_one_name_mean_the_same_everywhere():
    meant: dict[str, set] = {}
    for command in cli.commands.values():
        for param in command.params:
            name = param.opts[0]
            if isinstance(param, click.Option) and command.name not in OWN.get(name, ()):
                meant.setdefault(name, set()).add((param.help, str(param.type)))
    same = ("--data", "--split", "--json", "--seed", "--tokenizer", "--embedding", "--dt", "--lava-python")
    assert {name: len(meant[name]) for name in same} == dict.fromkeys(same, 1)


def test_what_reads_a_text_takes_a_part_of_it_and_its_first_tokens():
    readers = {c.name: {o for p in c.params for o in p.opts} for c in cli.commands.values() if c.name != "train"}
    assert all({"--split", "--tokens"} <= options for options in readers.values() if "--data" in options)


@pytest.mark.parametrize("name", cli.commands)
def test_no_line_of_a_commands_help_is_longer_than_80_columns(name):
    assert [line for line in help_of(name).splitlines() if len(line) > 80] == []


def test_every_setting_of_training_is_an_option_with_a_word_on_it():
    names = {name for name in TrainConfig.__dataclass_fields__ if name not in NOT_OPTIONS}
    assert set(HELP) == names
    shown = help_of("train")
    assert all(f"--{name.replace('_', '-')} " in shown for name in names)


@pytest.mark.slow
def test_every_example_runs_as_it_is_printed_in_an_empty_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [*FIRST, *(name for name in cli.commands if name not in FIRST)]
    commands = [*(line for name in names for line in examples(name)), *examples()]
    assert len(commands) > len(names)
    for line in dict.fromkeys(commands):
        program, *arguments = shlex.split(line)
        code, out, err = run(*arguments)
        assert program == "spikegpt"
        assert code == 0, f"{line}\n{err}"
        assert out
