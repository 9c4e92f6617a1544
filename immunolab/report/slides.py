"""The findings as slides: a sentence with its figure, what belongs to it below; cautions; the cohort's figures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immunolab.errors import InputError, Problem
from immunolab.report.figures import figures_of
from immunolab.report.first_screen import study_facts
from immunolab.results.findings import findings
from immunolab.results.findings.cautions import cautions
from immunolab.results.findings.concerns import concerns
from immunolab.results.office_files import write_office_file
from immunolab.results.run import Run

_WIDE, _HIGH = 13.333, 7.5  # inches: 16:9, as projectors show it
_EDGE = 0.5  # inches
_PIXELS = 1600  # of a picture's longer side: sharp on a projector, a tenth of the file in print quality
_TEXT, _TITLE, _SMALL = 16, 24, 12  # points: read from the back of a room; small print for those who read on
_FITS = 900  # characters beside a picture in the larger size (judgement: fills the box)
_ACROSS = 130  # characters of small print across a slide, in letters as wide as Arial's
_LINE = 0.2  # inches from line to line of small print: 1.2 times its size
_FLAT, _TALL = 1.8, 1.0  # width over height from which a picture is below its words, and under which beside them

Box = tuple[float, float, float, float]
"""Left, top, width and height in inches."""
SLIDES_HINT = "pip install 'immunolab[slides]'"


@dataclass(frozen=True)
class Slide:
    """A slide.

    Attributes
    ----------
    title
        At its top.
    texts
        Below it, or left of the picture; the first is the finding.
    picture
        PNG file; None for a slide of words.
    alt
        What the picture shows, for readers without it.
    """

    title: str
    texts: tuple[str, ...] = ()
    picture: Path | None = None
    alt: str = ""


def slides_of(run: Run) -> list[Slide]:
    """Return a run's slides: title, what warns, each finding with its figure, and the figures of each cohort.

    Parameters
    ----------
    run
        The finished run; its folder holds the figures of its report.
    """
    made = list(figures_of(run))
    folder = run.folder / "figures"
    own = {(one.endpoint, one.cohort): one for one in reversed(made) if one.endpoint and not one.full}
    warns = Slide("What warns", (*(one.text for one in concerns(run)), *cautions(run), *run.further_notes))
    slides, absent = [_first(run), warns], []
    for found in findings(run):
        where = f"{found.cohort}: " if len(run.cohorts) > 1 else ""
        if found.verdict == "not_measured" and found.role != "primary":
            absent.append(f"{where}{found.name} ({found.role}). {found.plain}")
            continue
        figure = own.get((found.figure, found.cohort)) if found.figure else None
        texts = tuple(filter(None, (found.plain, *found.beside, found.missing_in_words, found.statistics)))
        picture = folder / f"{figure.name}.png" if figure else None
        slides.append(Slide(f"{where}{found.name}, {found.role} endpoint", texts, picture, found.plain))
    if absent:
        slides.append(Slide("Registered and not measured", tuple(absent)))
    for one in made:
        if one.section == "cohort":
            title = f"Cohort {one.cohort}" if one.cohort else "All patients"
            slides.append(Slide(title, (one.caption,), folder / f"{one.name}.png", one.caption))
    return slides


def _first(run: Run) -> Slide:
    trial = run.study.trial
    registered = f" ({trial.registry})" if trial and trial.registry else ""
    title = (f"{trial.title}{registered}",) if trial else ()
    facts = (f"{name}: {value}" for name, value in study_facts(run))
    simulated = ("Simulated data",) if run.study.simulated else ()
    return Slide(run.study.name, (*title, *simulated, *facts, f"immunolab {run.versions.get('immunolab', '')}"))


def write_slides(run: Run, path: Path) -> Path:
    """Write a run's slides as PPTX and return its path; the same run gives the same bytes.

    Parameters
    ----------
    run
        The finished run; its report has been written.
    path
        Where to; replaced if it exists.

    Raises
    ------
    InputError
        python-pptx is not installed.
    """
    try:
        from pptx import Presentation
        from pptx.util import Inches
    except ImportError as error:
        raise InputError(Problem(str(path), "", "slides need python-pptx", SLIDES_HINT)) from error
    deck = Presentation()
    deck.slide_width, deck.slide_height = Inches(_WIDE), Inches(_HIGH)
    deck.core_properties.author, deck.core_properties.title = "immunolab", run.study.name
    for slide in slides_of(run):
        _add(deck, slide, mark="simulated data" if run.study.simulated else "")
    content = io.BytesIO()
    deck.save(content)
    return write_office_file(content.getvalue(), path)


def _add(deck: Any, slide: Slide, mark: str = "") -> None:
    """Add a slide; the mark stands on each, as slides are shown one by one."""
    made = deck.slides.add_slide(deck.slide_layouts[5])  # a title and nothing else
    title = made.shapes.title
    _place(title, (_EDGE, 0.3, _WIDE - 2 * _EDGE, 0.9))
    title.text_frame.text = slide.title
    title.text_frame.word_wrap = True
    _style(title.text_frame, (_TITLE,), bold=True)
    if mark:
        _words(made, (mark,), (_WIDE - 2.3, 0.1, 2.0, 0.35), small=True)
    words, picture, small = _boxes(slide)
    if slide.texts:
        _words(made, slide.texts, words, small=small)
    if picture:
        _picture(made, slide, picture)


def _boxes(slide: Slide) -> tuple[Box, Box | None, bool]:
    """Return where words and picture are, and whether all words are small print.

    A picture with a caption alone has the slide, the caption below it; beside one that is tall, for it then gets all
    the height. One with a finding is right of it, below it where it is flat.
    """
    across = _WIDE - 2 * _EDGE
    if slide.picture is None or not slide.picture.exists():
        return (_EDGE, 1.4, across, 5.6), None, False
    shape = _shape(slide.picture)
    if len(slide.texts) == 1 and shape < _TALL:
        return (9.3, 1.4, _WIDE - 9.3 - _EDGE, 5.6), (_EDGE, 1.0, 8.6, 6.4), True
    if len(slide.texts) == 1:
        below = 0.2 + _LINE * -(-len(slide.texts[0]) // _ACROSS)
        return (_EDGE, 7.3 - below, across, below), (_EDGE, 1.2, across, 6.0 - below), True
    if shape > _FLAT and sum(map(len, slide.texts)) < _FITS:
        return (_EDGE, 1.3, across, 1.8), (_EDGE, 3.1, across, 4.2), False
    return (_EDGE, 1.4, 6.2, 5.6), (7.0, 1.4, _WIDE - 7.0 - _EDGE, 5.6), False


def _shape(picture: Path) -> float:
    from PIL import Image

    with Image.open(picture) as image:
        return image.width / image.height


def _words(made: Any, texts: Sequence[str], box: Box, *, small: bool) -> None:
    from pptx.util import Inches

    frame = made.shapes.add_textbox(*map(Inches, box)).text_frame
    frame.word_wrap = True
    frame.text = texts[0]
    for text in texts[1:]:
        frame.add_paragraph().text = text
    long = sum(map(len, texts)) > _FITS
    _style(frame, (_SMALL,) if small or long else (_TEXT, _SMALL))


def _style(frame: Any, sizes: Sequence[int], *, bold: bool = False) -> None:
    """Set the size of the first paragraph, and of the others (the last of `sizes`)."""
    from pptx.enum.text import PP_ALIGN
    from pptx.util import Pt

    for place, paragraph in enumerate(frame.paragraphs):
        paragraph.alignment = PP_ALIGN.LEFT
        paragraph.space_after = Pt(6)
        for run in paragraph.runs:
            run.font.size, run.font.bold = Pt(sizes[min(place, len(sizes) - 1)]), bold


def _place(shape: Any, box: Box) -> None:
    from pptx.util import Inches

    shape.left, shape.top, shape.width, shape.height = map(Inches, box)


def _picture(made: Any, slide: Slide, area: Box) -> None:
    """Add the picture as large as its area lets it be, in the area's middle, with its text for those without it."""
    from PIL import Image

    left, top, width, height = area
    with Image.open(slide.picture) as image:  # type: ignore[arg-type]
        small = image.convert("RGB")
        small.thumbnail((_PIXELS, _PIXELS))
        buffer = io.BytesIO()
        small.save(buffer, format="PNG")
    scale = min(width / small.width, height / small.height)
    shown = made.shapes.add_picture(buffer, 0, 0)
    w, h = small.width * scale, small.height * scale
    _place(shown, (left + (width - w) / 2, top + (height - h) / 2, w, h))
    shown._element.nvPicPr.cNvPr.set("descr", slide.alt)
    shown._element.nvPicPr.cNvPr.set("name", "figure")
