"""Every notebook runs from its first cell to its last in time, and is stored with what it gives today."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from notebook_runs import FOLDER, SECONDS, executed, texts

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
_MOST = 6 * 1024 * 1024  # bytes of all notebooks together, so that a clone stays quick


def _seconds_of_kernels() -> float:
    """Return the processor seconds of the processes that this one has started and seen end."""
    spent = os.times()
    return spent.children_user + spent.children_system


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_is_stored_with(path: Path, tmp_path: Path) -> None:
    before = _seconds_of_kernels()
    found = executed(path, tmp_path)
    assert _seconds_of_kernels() - before < SECONDS
    assert texts(nbformat.read(path, as_version=4)) == texts(found), f"python tests/notebook_runs.py {path.stem}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_pictures_and_without_errors(path: Path) -> None:
    outputs = [one for cell in nbformat.read(path, as_version=4).cells for one in cell.get("outputs", [])]
    assert not [one for one in outputs if one["output_type"] == "error"]
    assert any("image/png" in one.get("data", {}) for one in outputs)


def test_notebooks_are_small() -> None:
    assert sum(path.stat().st_size for path in NOTEBOOKS) < _MOST
