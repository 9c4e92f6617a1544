"""What tests share: where real data is, and small files with known content."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
REFERENCE = REPOSITORY / "tests" / "reference"


def data_folder(name: str = "") -> Path:
    """Return a folder (or file) of the real test data, or skip the test with the reason."""
    root = Path(os.environ.get("IMMUNOLAB_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    path = root / name
    if not path.exists():
        pytest.skip(f"real test data is absent: {name} (set IMMUNOLAB_TEST_DATA)")
    return path


def copy_compiled(source: Path, target: Path) -> None:
    """Copy a folder of Python files with what is compiled of them, by Python and by numba, wherever it is kept.

    A copy has the times of its files, by which what is compiled is known to be theirs: to compile the package anew
    takes each process five seconds.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in target.rglob("*.py"):
        original = source / path.relative_to(target)
        beside = path.parent / "__pycache__"
        for compiled in (cache_from_source(str(original)), *original.parent.glob(f"__pycache__/{path.stem}.*.nb[ci]")):
            with suppress(FileNotFoundError):  # not compiled yet, or just being compiled by another process
                beside.mkdir(exist_ok=True)
                shutil.copy2(compiled, beside)
