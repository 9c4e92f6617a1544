"""A figure of the report: its caption, the data it is drawn from, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.drawn_memory import free_drawn
from immunolab.plots.figure_files import QUICK, drawn_once, picture, save
from immunolab.plots.png_file import png_file
from immunolab.plots.style import FONT_NEEDED, figure, letters_without_font, style
from immunolab.results.run import Run
from immunolab.schema.tables import declared

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

ROWS_OF_PATIENTS = 60  # patients of a heat map or strip that fit a printed page
PICTURES_ON_PAGE = 100  # pages of patients; the report leads to the others
_DPI = 300  # of a figure's PNG: what journals ask of pictures
_SMALL_DPI = 200  # of a small figure: sharp at twice the size of a screen's 96
_SMALLER = 2  # times: a picture on the page against its file


@dataclass(frozen=True)
class ReportFigure:
    """A figure that can be drawn anywhere: it holds its data and nothing of the run besides.

    Attributes
    ----------
    name
        Of its files, ``figures/NAME.pdf``, ``.svg``, ``.png`` and ``.csv``.
    section
        ``small`` (of an endpoint, for the first screen), ``gating``, ``cohort``, ``primary``,
        ``secondary``, ``exploratory``, ``clinic``, ``patients``, ``one_pagers`` or
        ``quality``.
    caption
        Definition, denominator, test, n and seed in words; also the text for readers without the picture.
    draw
        Makes the figure.
    data
        What it shows, row by row, as `schema.figures` declares it.
    wide
        Whether it takes the page's full width.
    cohort
        Whose figure it is; empty for figures of the whole run and of a study without cohorts.
    on_page
        Whether the page holds its picture, or only leads to it.
    endpoint
        Id of the endpoint that it is the figure of; empty for all others.
    alt
        What it shows in a sentence, for readers without the picture; empty: the caption.
    full
        Name of the figure that this one is the small form of: it is on the page only, and leads to that one's files.
    suffixes
        Of the files that are written beside the CSV; a picture on the page needs ``.png``.
    patient
        Whose page it is; empty for figures of several patients.
    """

    name: str
    section: str
    caption: str
    draw: Callable[[], Figure]
    data: pd.DataFrame
    wide: bool = False
    cohort: str = ""
    on_page: bool = True
    endpoint: str = ""
    alt: str = ""
    full: str = ""
    suffixes: tuple[str, ...] = (".pdf", ".svg", ".png")
    patient: str = ""


@dataclass(frozen=True)
class FigureSet:
    """The figures of one module of `report.figures`, registered by its constant ``FIGURES``.

    Attributes
    ----------
    place
        Sets come in this order; ties in the order of their modules' names.
    per_cohort
        Makes the figures of one cohort of a run.
    per_run
        Makes the figures of the whole run.
    """

    place: int
    per_cohort: Callable[[Run, str], Iterator[ReportFigure]] | None = None
    per_run: Callable[[Run], Iterator[ReportFigure]] | None = None


@dataclass(frozen=True)
class Written:
    """A figure on disk and its picture for the page (base64 of a PNG; "" where the page only leads to it).

    A picture of the section ``small`` has the name of the full figure, whose files are on disk.
    """

    name: str
    section: str
    caption: str
    picture: str
    wide: bool
    cohort: str
    endpoint: str = ""
    alt: str = ""
    patient: str = ""


def on_axes(plot: Callable[..., Axes], width: float, height: float) -> Figure:
    """Return a figure with one plot on it.

    Parameters
    ----------
    plot
        Takes the axes as ``ax``.
    width, height
        Size in inches.

    Returns
    -------
    Figure
        A figure outside pyplot.
    """
    with style():  # letters of axes are set when the axes are made
        fig = figure(width, height)
        plot(ax=fig.add_subplot())
    return fig


def unique(made: Iterable[ReportFigure]) -> Iterator[ReportFigure]:
    """Yield figures with names that no earlier one has; names differ by letters, so cases are one."""
    taken: dict[str, int] = {}
    for one in made:
        count = taken[one.name.lower()] = taken.get(one.name.lower(), 0) + 1
        yield one if count == 1 else replace(one, name=f"{one.name}-{count}")


def write_figure(made: ReportFigure, folder: Path) -> Written:
    """Draw a figure, write its PDF, SVG, PNG and CSV, and return its picture for the page.

    Parameters
    ----------
    made
        The figure.
    folder
        Where its files are written.

    Returns
    -------
    Written
        Its name, caption and picture.
    """
    drawn, shown = made.draw(), ""
    if made.full:
        shown = embedded(picture(drawn, dpi=_SMALL_DPI), 1)
    else:
        shown = _write_files(drawn, folder, made)
        declared(f"figures/{made.name}").write_as_given(made.data, folder / f"{made.name}.csv")
    name, caption = made.full or made.name, made.caption + _boxes(drawn)
    del drawn
    free_drawn()
    return Written(
        name, made.section, caption, shown, made.wide, made.cohort, made.endpoint, made.alt, patient=made.patient
    )


def _write_files(drawn: Figure, folder: Path, made: ReportFigure) -> str:
    """Draw a figure once for its files and the page, and return its picture for the page; "" where that has none."""
    pixels, again = drawn_once(drawn, dpi=_DPI)
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in made.suffixes:
        if suffix == ".png":
            (folder / f"{made.name}.png").write_bytes(png_file(pixels, _DPI))
        else:
            save(again, folder / f"{made.name}{suffix}")
    return embedded(pixels, _SMALLER) if made.on_page and ".png" in made.suffixes else ""


def _boxes(drawn: Figure) -> str:
    """Return which letters of a figure are boxes for want of a font, and which to install; empty where none are."""
    words = [getattr(artist, "get_text", str)() for artist in drawn.findobj() if artist.get_visible()]
    lacking = letters_without_font(words)
    if not lacking:
        return ""
    return f" No font of this computer has the letters {lacking}, drawn as boxes: install {FONT_NEEDED}."


def embedded(pixels: Image, smaller: int) -> str:
    """Return pixels, so many times fewer across, as base64 text for the page.

    Parameters
    ----------
    pixels
        Red, green and blue.
    smaller
        Whole number by which width and height are divided.

    Returns
    -------
    str
        A PNG of 64 colours in base64.
    """
    from base64 import b64encode
    from io import BytesIO

    from PIL.Image import Quantize

    buffer = BytesIO()
    pixels.reduce(smaller).quantize(64, method=Quantize.FASTOCTREE).save(buffer, format="PNG", compress_level=QUICK)
    return b64encode(buffer.getvalue()).decode("ascii")


def pages(patients: Sequence[object], most: int) -> Iterator[tuple[str, Sequence[object]]]:
    """Yield so many patients at a time, with the page's number as text: "" where one page holds them all.

    Parameters
    ----------
    patients
        In the order they are shown.
    most
        Patients of a page.

    Yields
    ------
    (str, sequence)
        Number of the page as text, and its patients.
    """
    for start in range(0, max(1, len(patients)), most):
        yield (str(start // most + 1) if len(patients) > most else ""), patients[start : start + most]


def of_cohort(cohort: str) -> str:
    """Return the words that name a cohort in a caption; none for a study without cohorts."""
    return f", cohort {cohort}" if cohort else ""


def figure_name(*parts: str) -> str:
    """Return a file name from words, safe on every system."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", "_".join(part for part in parts if part))
