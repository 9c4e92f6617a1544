"""What tests share: where real data is, and small files with known content."""

from __future__ import annotations

import os
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
