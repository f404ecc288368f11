"""The pages on settings and commands list what the code has."""

import dataclasses
import json
import re

import pytest
import typer
from support.documents import DOCS, read, sections, table_rows

from spacy_duoguard.cli import duoguard_cli
from spacy_duoguard.duel.settings import SECTIONS
from spacy_duoguard.pipeline.settings import DEFAULT_CONFIG

CLI = sections(read(DOCS / "cli.md"), 2)
COMMANDS = typer.main.get_command(duoguard_cli).commands


def test_every_setting_is_in_the_table_with_its_default():
    rows = {row[0]: row[1] for row in table_rows(read(DOCS / "settings.md"))}
    defaults = {key: value for key, value in DEFAULT_CONFIG.items() if key != "model"}
    for key, value in DEFAULT_CONFIG["model"].items():
        if key != "@architectures":
            defaults[f"model.{key}"] = value
    for key, value in defaults.items():
        registered = isinstance(value, dict) and bool(value)
        default = next(iter(value.values())) if registered else json.dumps(value)
        assert rows[f"`{key}`"] == f"`{default}`"


def test_every_setting_of_a_duel_is_in_its_table_with_its_default():
    rows = {
        name: row[1]
        for row in table_rows(read(DOCS / "duel.md"))
        for name in re.findall(r"`(\w+\.\w+)`", row[0])
    }
    defaults = {
        f"{section}.{setting.name}": setting.default
        for section, kind in SECTIONS.items()
        for setting in dataclasses.fields(kind)
    }
    assert rows.keys() == defaults.keys()
    for name, default in defaults.items():
        needed = default in (dataclasses.MISSING, ())
        assert rows[name] == ("" if needed else f"`{json.dumps(default)}`"), name


def test_the_page_has_a_section_for_each_command():
    assert set(CLI) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_its_table_lists_the_arguments_of_a_command(name):
    cells = [row[0] for row in table_rows(CLI[name])]
    names = [re.fullmatch(r"`([A-Z]+)`", cell) for cell in cells]
    arguments, options = [], set()
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument":
            arguments.append((parameter.metavar or parameter.name).upper())
        elif parameter.name != "help":
            options.update(parameter.opts)
    assert [match[1] for match in names if match] == arguments
    assert set(re.findall(r"`(--?[\w-]+)`", " ".join(cells))) == options
