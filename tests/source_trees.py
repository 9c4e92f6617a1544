"""The package's own source, read once a process for the tests that look at it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from builders import REPOSITORY

PACKAGE = REPOSITORY / "immunolab"


@cache
def trees() -> dict[Path, ast.Module]:
    """Return the syntax tree of every file of the package, by its path in the package."""
    return {
        path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))
    }


def module_name(path: Path) -> str:
    """Return the name under which a file of the package is imported."""
    parts = (PACKAGE.name, *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
