"""Every command and every column of a declared table is documented."""

from __future__ import annotations

import re

import pytest
from builders import REPOSITORY

from immunolab import cli
from immunolab.clinical import (
    ADVERSE_EVENTS,
    COMPONENTS,
    RESPONDERS,
    SCORES,
    SUPPRESSION,
    SURVIVAL,
    TIME_TO_EVENT,
)
from immunolab.comparison.joint_rank import JOINT_RANK
from immunolab.schema import tables

EVENTS = [ADVERSE_EVENTS, TIME_TO_EVENT, SURVIVAL, SUPPRESSION, JOINT_RANK]
ALL = [*tables.ALL.values(), SCORES, RESPONDERS, COMPONENTS, *EVENTS]


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_every_column_stands_in_the_page_of_tables(table: tables.Table) -> None:
    page = (REPOSITORY / "docs" / "tables.md").read_text()
    section = page.split(f"## {table.name}.csv")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == table.names


def test_every_command_stands_in_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    commands = cli._parser()._subparsers._group_actions[0].choices
    assert [name for name in commands if f"`{name}`" not in readme] == []


def test_commands_tell_what_they_do_and_know_debug() -> None:
    for name, parser in cli._parser()._subparsers._group_actions[0].choices.items():
        assert parser.description, name
        assert "--debug" in parser.format_help(), name
