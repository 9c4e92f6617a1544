"""The figures of a report, each with its caption and the data it was drawn from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.shifts import forest, forest_height, paired_lines
from immunolab.plots.style import HALF, MM, WIDTH, figure, save, style
from immunolab.report.run_tables import RunTables, in_cohort

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReportFigure:
    """A figure.

    Attributes
    ----------
    name : of its files, ``figures/NAME.pdf``, ``.png`` and ``.csv``.
    section : ``cohort``, ``primary``, ``secondary``, ``exploratory``, ``patients`` or ``quality``.
    caption : definition, denominator, test, n and seed in words; also the text for readers without the picture.
    figure : to be drawn.
    data : what it shows, row by row.
    wide : whether it takes the page's full width.
    """

    name: str
    section: str
    caption: str
    figure: Figure
    data: pd.DataFrame
    wide: bool = False


@dataclass(frozen=True)
class Written:
    """A figure on disk and its picture for the page (base64 of a PNG)."""

    name: str
    section: str
    caption: str
    picture: str
    wide: bool


def cohort_figures(run: RunTables, cohort: str) -> Iterator[ReportFigure]:
    """Yield the forest and one pair of before and after for each endpoint, families in order."""
    shifts = run.shifts_of(cohort)
    if shifts.empty:
        return
    yield _forest(run, cohort, shifts)
    for role in ("primary", "secondary", "exploratory"):
        for _, row in shifts[shifts["role"] == role].iterrows():
            yield _paired(run, cohort, row)


def _forest(run: RunTables, cohort: str, shifts: pd.DataFrame) -> ReportFigure:
    fig = figure(WIDTH, forest_height(shifts))
    forest(shifts, run.labels, ax=fig.add_subplot())
    caption = (
        f"Cohort's change of every endpoint{_of(cohort)}, later visit against earlier, with 95 % confidence interval, "
        f"n pairs of visits, p (unadjusted) and q (adjusted within its family: "
        f"{'; '.join(dict.fromkeys(map(str, shifts['adjustment'])))}). The primary endpoint is marked by a diamond."
    )
    return ReportFigure(_name("forest", cohort), "cohort", caption, fig, shifts, wide=True)


def _paired(run: RunTables, cohort: str, row: pd.Series) -> ReportFigure:
    endpoint = str(row["endpoint"])
    named = run.label_of(endpoint)
    pairs = run["pairs"]
    data = pairs[(pairs["endpoint"] == endpoint) & in_cohort(pairs, cohort)]
    fig = figure(HALF, 92 * MM)
    with style():
        paired_lines(run["endpoints"], pairs, run["shifts"], endpoint, cohort=cohort, ax=fig.add_subplot())
    caption = (
        f"{named.axis}{_of(cohort)}. One line a patient, n = {row['n_pairs']} pairs; bars: medians; open "
        f"symbols: below what can be quantified. {row['role'].capitalize()} endpoint. Test: {row['method']}; "
        f"{row['adjustment']}; seed {run.seed}."
    )
    return ReportFigure(_name("paired", endpoint, cohort), str(row["role"]), caption, fig, data)


def write_figure(made: ReportFigure, folder: Path) -> Written:
    """Write a figure's PDF, PNG and CSV and return its picture for the page."""
    save(made.figure, folder / f"{made.name}.pdf")
    save(made.figure, folder / f"{made.name}.png")
    made.data.to_csv(folder / f"{made.name}.csv", index=False, lineterminator="\n")
    return Written(made.name, made.section, made.caption, embedded(folder / f"{made.name}.png", 0.5), made.wide)


def embedded(path: Path, scale: float) -> str:
    """Return a PNG file, made smaller by a scale, as base64 text for the page."""
    from base64 import b64encode
    from io import BytesIO

    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB")
    size = round(small.width * scale), round(small.height * scale)
    buffer = BytesIO()
    small.resize(size, Image.Resampling.LANCZOS).quantize(128).save(buffer, format="PNG", optimize=True)
    return b64encode(buffer.getvalue()).decode("ascii")


def _of(cohort: str) -> str:
    return f", cohort {cohort}" if cohort else ""


def _name(*parts: str) -> str:
    """Return a file name from words, safe on every system."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", "_".join(part for part in parts if part))


def run_figures(run: RunTables) -> Iterator[ReportFigure]:
    """Yield the figures of the whole run: where the borders lie, and how many events each sample has."""
    yield from ()
