"""Tables too long for the first page: its first rows stay there, and pages beside it hold all of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from immunolab.report.document import document
from immunolab.report.figure import figure_name
from immunolab.report.html_table import Grid
from immunolab.schema.files import write_atomically

PAGES = "pages"  # folder beside the first page
ROWS_ON_PAGE = 250  # of a table, on the first page (judgement: what is scrolled through; 40 patients have 40)
ROWS_BESIDE = 1_000  # of a table, on a page of its own (judgement: half a second in a browser)


class LongTables:
    """Writes the pages of long tables when the first page asks for them, so that one of them is held at a time.

    Pages that an earlier report left are removed.
    """

    def __init__(self, folder: Path, words: Mapping[str, Any]) -> None:
        self._folder = folder / PAGES
        self._words = words
        shutil.rmtree(self._folder, ignore_errors=True)

    def on_page(self, grid: Grid, id: str, caption: str) -> Grid:
        """Return a table as the first page shows it: itself, or its first rows and links to the pages with all.

        Parameters
        ----------
        grid
            The table.
        id
            Of the table on the page.
        caption
            What is in it.
        """
        n = len(grid.rows)
        if n <= ROWS_ON_PAGE:
            return grid
        names = [self._write(grid, id, caption, first) for first in range(0, n, ROWS_BESIDE)]
        links = tuple(
            (f"{first + 1:,} to {min(first + ROWS_BESIDE, n):,}", f"{PAGES}/{name}")
            for first, name in zip(range(0, n, ROWS_BESIDE), names, strict=True)
        )
        return replace(grid, rows=grid.rows[:ROWS_ON_PAGE], whole=n, pages=links)

    def _write(self, grid: Grid, id: str, caption: str, first: int) -> str:
        """Write the page of the rows from one on, and return its name."""
        part = replace(grid, rows=grid.rows[first : first + ROWS_BESIDE])
        last = first + len(part.rows)
        name = f"{_file_name(id)}-{first // ROWS_BESIDE + 1}.html"
        words = {"id": id, "caption": f"{caption}, rows {first + 1:,} to {last:,} of {len(grid.rows):,}", "part": part}
        text = document({**self._words, **words}, "long_table.html.j2")
        self._folder.mkdir(exist_ok=True)
        write_atomically(self._folder / name, lambda written: written.write_text(text, encoding="utf-8"))
        return name


def _file_name(id: str) -> str:
    """Return a file's name, of its own for each id though not all letters may be in names."""
    name = figure_name(id)
    return name if name == id else f"{name}-{sha256(id.encode()).hexdigest()[:8]}"
