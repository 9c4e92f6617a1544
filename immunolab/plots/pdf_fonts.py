"""Fonts of a PDF, made in a third of the time: without the tables that a PDF's reader does not use.

Matplotlib cuts a font down to a figure's letters with fontTools, which takes most of its time for the tables
that set text (ligatures, kerning, names). In a PDF every glyph is named and placed, so none of these is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

# What a PDF's reader needs of a TrueType font (ISO 32000-1, 9.9, table 126), and what fontTools needs to write one.
_NEEDED = {"glyf", "head", "hhea", "hmtx", "loca", "maxp", "cvt ", "fpgm", "prep", "cmap", "post", "OS/2"}
_FONTS_KEPT = 4  # fonts of figures: one, its bold, and those with Chinese letters
_NAMELESS = 3.0  # format of the table post in which glyphs have no names


@contextmanager
def lean_fonts() -> Iterator[None]:
    """Save PDFs inside with fonts of these tables alone; outlines and widths of the letters are the font's own."""
    from fontTools import subset

    whole = subset.load_font

    def lean(path: Any, options: Any, **others: Any) -> Any:
        return _lean(whole, path, options) or whole(path, options, **others)

    subset.load_font = lean
    try:
        yield
    finally:
        subset.load_font = whole


def _lean(whole: Any, path: Any, options: Any) -> Any:
    """Return a font of the needed tables; None for one without TrueType outlines."""
    from fontTools.ttLib import TTFont

    kept = _kept(whole, str(path), options.font_number)
    if kept is None:
        return None
    moments = {"recalcBBoxes": options.recalc_bounds, "recalcTimestamp": options.recalc_timestamp}
    font = TTFont(BytesIO(kept.file), lazy=True, **moments)  # no time of writing: same figure, same bytes
    font.setGlyphOrder(list(kept.glyphs))
    outlines, widths = copy(kept.outlines), copy(kept.widths)
    outlines.glyphs = _Copies(outlines.glyphs)
    font.tables |= {"glyf": outlines, "hmtx": widths}
    return font


@dataclass(frozen=True)
class _CutDown:
    """A font's file with the needed tables alone, its glyphs' names, and the two tables that take long to read."""

    file: bytes
    glyphs: tuple[str, ...]
    outlines: Any
    widths: Any


class _Copies(dict[str, Any]):
    """Outlines of a font that many files are cut from: cutting changes a glyph that is made of others."""

    def __init__(self, shared: Mapping[str, Any]) -> None:
        super().__init__(shared)
        self._copied: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name not in self._copied:
            self[name] = copy(super().__getitem__(name))
            self._copied.add(name)
        return super().__getitem__(name)


@lru_cache(_FONTS_KEPT)
def _kept(whole: Any, path: str, number: int) -> _CutDown | None:
    """Return what of a font file is needed; None without outlines."""
    from fontTools.subset import Options
    from fontTools.ttLib import TTFont

    font = whole(path, Options(font_number=number))
    if "glyf" not in font:
        return None
    for table in set(font.keys()) - _NEEDED - {"GlyphOrder"}:
        del font[table]
    glyphs = tuple(font.getGlyphOrder())
    font["post"].formatType = _NAMELESS
    written = BytesIO()
    font.save(written, reorderTables=False)
    lean = TTFont(BytesIO(written.getvalue()))
    lean.setGlyphOrder(list(glyphs))
    return _CutDown(written.getvalue(), glyphs, lean["glyf"], lean["hmtx"])
