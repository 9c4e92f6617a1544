"""Fonts of PDFs: fewer tables, the same letters."""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from pathlib import Path

import pytest

from immunolab.plots.figure_files import save
from immunolab.plots.pdf_fonts import lean_fonts
from immunolab.plots.style import figure, style

ttlib = pytest.importorskip("fontTools.ttLib")
TEXT = "Treg, % of CD4+ T cells: 4.5 → 9.3 fi ffl é µ ≥ 25,000"


def _embedded_fonts(pdf: Path) -> list:
    """Return the font files of a PDF, by what is written in it."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf.read_bytes(), re.S)
    inflated = []
    for stream in streams:
        try:
            inflated.append(zlib.decompress(stream))
        except zlib.error:
            inflated.append(stream)
    return [ttlib.TTFont(BytesIO(text)) for text in inflated if text[:4] in (b"\0\1\0\0", b"true")]


def _outlines(font) -> set[tuple]:
    glyphs = font["glyf"]
    found = set()
    for name in font.getGlyphOrder():
        coordinates, ends, _ = glyphs[name].getCoordinates(glyphs)
        found.add((tuple(map(tuple, coordinates)), tuple(ends), font["hmtx"][name]))
    return found


def _whole(path: Path) -> Path:
    """Write the same figure as matplotlib does by itself."""
    with style():
        fig = figure(3, 1)
        fig.text(0.05, 0.5, TEXT)
        fig.savefig(path)
    return path


def test_the_fonts_of_a_pdf_have_the_letters_with_their_outlines_and_widths_and_no_tables_that_set_text(tmp_path):
    fig = figure(3, 1)
    with style():
        fig.text(0.05, 0.5, TEXT)
    save(fig, tmp_path / "lean.pdf")
    lean, whole = _embedded_fonts(tmp_path / "lean.pdf"), _embedded_fonts(_whole(tmp_path / "whole.pdf"))
    assert len(lean) == len(whole) >= 1
    assert sum(len(_outlines(font)) for font in lean) > 20
    for ours, theirs in zip(lean, whole, strict=True):
        assert _outlines(ours) <= _outlines(theirs)
        assert {"glyf", "loca", "head", "hhea", "hmtx", "maxp", "fpgm", "prep", "cvt "} <= set(ours.keys())
        assert not {"GSUB", "GPOS", "GDEF", "kern"} & set(ours.keys())


def test_the_text_of_a_pdf_can_be_searched(tmp_path):
    pypdf = pytest.importorskip("pypdf")
    fig = figure(3, 1)
    with style():
        fig.text(0.05, 0.5, TEXT)
    save(fig, tmp_path / "lean.pdf")
    assert "CD4+ T cells: 4.5 → 9.3" in pypdf.PdfReader(tmp_path / "lean.pdf").pages[0].extract_text()


def test_fonttools_is_as_it_was_after_a_pdf_was_saved():
    from fontTools import subset

    before = subset.load_font
    with pytest.raises(ZeroDivisionError), lean_fonts():
        1 / (subset.load_font is before)
    assert subset.load_font is before
