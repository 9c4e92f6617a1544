"""Outlines of lines of text, put together from those of their letters."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from immunolab.plots.style import fonts

if TYPE_CHECKING:
    from matplotlib.textpath import TextToPath

Array = NDArray[np.float64]
Codes = NDArray[np.uint8]
Placed = list[tuple[Any, float, float]]  # name of a glyph, and its place across and up in units of the font


@lru_cache(maxsize=16_384)
def text_outline(text: str, bold: bool) -> tuple[Array, Codes, float]:
    """Return a text's outline: vertices of a font of size 1, path codes, and its width.

    Parameters
    ----------
    text
        One line.
    bold
        Whether it is set in bold.
    """
    glyphs, scale = _glyphs(text, bold), _setter().FONT_SCALE
    shapes = [_kept()[name] for name, _, _ in glyphs]
    placed = [vertices + place for (vertices, _), (_, *place) in zip(shapes, glyphs, strict=True) if len(vertices)]
    outline = np.concatenate([np.empty((0, 2)), *placed]) / scale
    codes = np.concatenate([np.empty(0, dtype=np.uint8), *(codes for _, codes in shapes)])
    return outline, codes.astype(np.uint8), float(outline[:, 0].max(initial=0.0))


def _glyphs(text: str, bold: bool) -> Placed:
    """Return the glyphs of a text: of plain letters by their pairs, as setting a line takes longer than drawing it."""
    pairs = [_set(f"{a}{b}", bold) for a, b in pairwise(text)] if text.isascii() else []
    if not pairs or any(len(pair) != 2 for pair in pairs):  # two letters that are one glyph
        return _set(text, bold)
    found, x = [pairs[0][0]], 0.0
    for _, (name, step, up) in pairs:
        x += step
        found.append((name, x, up))
    return found


@lru_cache(maxsize=16_384)
def _set(text: str, bold: bool) -> Placed:
    """Return the glyphs of a text as matplotlib sets it."""
    from matplotlib.font_manager import FontProperties

    setter = _setter()
    font = setter._get_font(FontProperties(family=fonts(), weight="bold" if bold else "normal"))  # type: ignore[attr-defined]
    placed, _, _ = setter.get_glyphs_with_font(font, text, _kept())
    return [(name, x, y) for name, x, y, _ in placed]


@cache
def _setter() -> TextToPath:
    from matplotlib.textpath import TextToPath

    return TextToPath()


@cache
def _kept() -> dict[Any, tuple[Array, Codes]]:
    """Return the outlines by font and glyph, which matplotlib adds to: each is taken from its font once."""
    return {}
