"""Every command is documented, and the reference pages are those of the declarations."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import REPOSITORY
from source_trees import PACKAGE, trees

from immunolab import cli
from immunolab.schema import pages


@pytest.mark.parametrize(
    ("name", "page"),
    [("tables.md", pages.tables_page), ("flags.md", pages.flags_page), ("night_log.md", pages.night_log_page)],
)
def test_the_reference_pages_are_those_that_the_declarations_make(name: str, page: Callable[[], str]) -> None:
    assert (REPOSITORY / "docs" / name).read_text() == page(), "write them anew: python -m immunolab.schema"


def test_every_command_is_in_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    commands = cli._parser()._subparsers._group_actions[0].choices
    assert [name for name in commands if f"`{name}`" not in readme] == []


def test_commands_on_the_pages_have_words_that_the_program_takes() -> None:
    refused = []
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]:
        text = page.read_text().replace("\\\n", " ")
        fenced = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.M | re.S)
        lines = ["    " + line.removeprefix("$ ") for part in fenced for line in part.splitlines()]
        for line in [*lines, *text.splitlines()]:
            if line.startswith("    immunolab "):
                command = re.split(r" && | \| |; | > ", line)[0]
                try:
                    cli._parser().parse_args(shlex.split(command, comments=True)[1:])
                except SystemExit as end:
                    refused += [f"{page.name}: {line.strip()}"] * bool(end.code)
    assert refused == []


def test_commands_say_what_they_do_and_take_debug() -> None:
    for name, parser in cli._parser()._subparsers._group_actions[0].choices.items():
        assert parser.description, name
        assert "--debug" in parser.format_help(), name


def test_the_path_of_a_run_names_what_is_there() -> None:
    page = (REPOSITORY / "docs" / "path_of_a_run.md").read_text()
    named = re.findall(r"`([\w/]+\.py): (\w+)(?:\.(\w+))?`", page)
    assert len(named) > 30
    absent = [place for place in named if not _is_in(trees()[Path(place[0])], *place[1:])]
    assert absent == []
    assert [p for p in re.findall(r"`([\w/]+/)`", page) if p != "immunolab/" and not (PACKAGE / p).is_dir()] == []


def _is_in(tree: ast.Module, name: str, member: str) -> bool:
    """Whether a module defines a name, or takes it from elsewhere, and a class a member."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return True
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return not member or member in {getattr(one, "name", "") for one in node.body}
    return False
