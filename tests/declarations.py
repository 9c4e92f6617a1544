"""What a run wrote, held up to the declarations of `immunolab.schema`."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from immunolab.schema.flags import Check, Code, flag, split
from immunolab.schema.tables import ALL

WORDS = (("flag", flag), ("warnings", Code), ("codes", Code), ("check", Check))


def undeclared(out: Path) -> Iterator[str]:
    """Yield what is not declared in the CSV files below a run's tables and samples."""
    for path in sorted([*out.glob("tables/*.csv"), *out.glob("samples/*/*.csv"), *out.glob("figures/*.csv")]):
        pattern = f"run: {path.relative_to(out).as_posix()}"
        found = [t for t in ALL.values() if any(fnmatchcase(pattern, file) for file in t.files)]
        if not found:
            yield f"{pattern} is not declared"
            continue
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        yield from (f"{pattern}: column {name}" for name in frame.columns if found[0].column(name) is None)
        for column, kind in WORDS:
            for word in {word for field in frame.get(column, ()) for word in split(field)}:
                try:
                    kind(word)
                except ValueError:
                    yield f"{pattern}: {column} {word}"
