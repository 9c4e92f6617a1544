"""Each recipe of CONTRIBUTING.md, executed as it is written in a scratch copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import REPOSITORY, copy_compiled

# A fenced block of a recipe: a file to create (its title names it), commands, or what the commands print.
_BLOCK = re.compile(r'^```(?P<kind>\w+)(?: title="(?P<file>[^"]+)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
_COPIED = ("immunolab", "pyproject.toml", "tests", "docs", "README.md")


@dataclass(frozen=True)
class Block:
    """One fenced block of a recipe."""

    kind: str
    file: str
    text: str


def recipes() -> dict[str, list[Block]]:
    """Return the blocks of every section "Recipe: ..." of CONTRIBUTING.md."""
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sections = re.split(r"^### Recipe: ", page, flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        title, _, body = section.partition("\n")
        body = re.split(r"^#{1,3} ", body, flags=re.MULTILINE)[0]
        found[title.strip()] = [Block(m["kind"], m["file"] or "", m["text"]) for m in _BLOCK.finditer(body)]
    return found


def run(command: str, folder: Path) -> str:
    """Run one line of a recipe in the scratch copy and return what it printed."""
    words = re.sub(r"^immunolab\b", f"{sys.executable} -m immunolab", command)
    words = re.sub(r"^python\b", sys.executable, words)
    words = re.sub(r"^pytest\b", f"{sys.executable} -m pytest -p no:cacheprovider -n 0", words)
    environment = os.environ | {"PYTHONPATH": str(folder), "MPLBACKEND": "Agg"}
    environment.pop("PYTHONPYCACHEPREFIX", None)  # what is compiled is beside the copy
    done = subprocess.run(words, cwd=folder, env=environment, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_there_is_a_recipe_for_each_kind_of_addition() -> None:
    assert {"a threshold method", "a score", "a trial", "a figure"} <= set(recipes())


@pytest.mark.parametrize("name", ["a threshold method", "a score", "a trial", "a figure"])
def test_a_recipe_works_as_written(name: str, tmp_path: Path) -> None:
    for part in _COPIED:
        source = REPOSITORY / part
        if source.is_dir():
            copy_compiled(source, tmp_path / part)
        else:
            shutil.copy2(source, tmp_path / part)
    printed, commands, files = "", 0, 0
    for block in recipes()[name]:
        if block.file:
            target = tmp_path / block.file
            assert not target.exists(), f"the recipe would overwrite {block.file}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
            files += 1
        elif block.kind == "diff":
            applied = subprocess.run(
                ["git", "apply", "-"], cwd=tmp_path, input=block.text, text=True, capture_output=True, check=False
            )
            assert applied.returncode == 0, applied.stderr
        elif block.kind == "sh":
            printed = "".join(run(line, tmp_path) for line in block.text.splitlines() if line.strip())
            commands += 1
        elif block.kind == "text":
            lines = {line.strip() for line in printed.splitlines()}
            assert [line for line in block.text.splitlines() if line.strip() and line.strip() not in lines] == [], (
                printed
            )
    assert files
    assert commands
