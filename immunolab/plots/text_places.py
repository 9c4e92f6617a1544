"""Places of letters within their text, found once: a tick's label is laid out for its size, and in every file.

How a text is laid out does not depend on where it stands, but matplotlib does it anew each time: a figure's labels six
times, a tenth of the time that its files take.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.font_manager import FontManager, FontProperties
    from matplotlib.text import Text

_MOST = 16_384  # texts whose places are kept (20 MB); a report of forty patients has as many, most of them numbers


@cache
def keep_places(wanted: Callable[[], bool]) -> None:
    """Have matplotlib keep the places of texts, and the fonts it found for them, wherever they are wanted.

    Parameters
    ----------
    wanted
        Whether the caller draws where nothing that these depend on changes besides the text's own properties.
    """
    from matplotlib.font_manager import FontManager
    from matplotlib.text import Text

    lay_out, find = Text._get_layout, FontManager._find_fonts_by_props  # type: ignore[attr-defined]
    places: dict[Any, Any] = {}
    fonts: dict[Any, Any] = {}

    def _get_layout(self: Text, renderer: Any) -> Any:
        if not wanted() or self.get_wrap() or self.get_usetex():  # wrapped lines depend on where the text stands
            return lay_out(self, renderer)
        return _kept(places, _looks(self, renderer), lambda: lay_out(self, renderer))

    def _find_fonts_by_props(self: FontManager, prop: Any, *more: Any, **others: Any) -> Any:
        if not wanted() or more or others or not hasattr(prop, "get_family"):
            return find(self, prop, *more, **others)
        return _kept(fonts, (id(self), len(self.ttflist), *_font(prop)), lambda: find(self, prop))

    Text._get_layout = _get_layout  # type: ignore[attr-defined]
    FontManager._find_fonts_by_props = _find_fonts_by_props  # type: ignore[method-assign]


_widths: dict[Any, float] = {}


def text_width(renderer: Any, text: str, prop: FontProperties, ismath: Any = False) -> float:
    """Return the width of a line of text in a renderer's units.

    Parameters
    ----------
    renderer
        Matplotlib's.
    text, prop, ismath
        The line, its font and size, and what kind of text it is, as given to a renderer.
    """
    own = getattr(renderer, "_renderer", renderer)
    key = type(own), getattr(renderer, "dpi", None), text, ismath, *_font(prop)
    width: float = _kept(_widths, key, lambda: renderer.get_text_width_height_descent(text, prop, ismath)[0])
    return width


def _kept(found: dict[Any, Any], key: Any, find: Callable[[], Any]) -> Any:
    value = found.get(key)
    if value is None:
        if len(found) >= _MOST:
            found.clear()
        value = found[key] = find()
    return value


def _looks(text: Text, renderer: Any) -> tuple[Any, ...]:
    """Return all that the places of a text's letters depend on."""
    figure: Any = text.figure
    return (
        type(getattr(renderer, "_renderer", renderer)),  # that of PDF and SVG is within another one
        getattr(renderer, "dpi", None),
        figure.dpi,
        text.get_text(),
        text.get_parse_math(),
        text.get_rotation(),
        text.get_rotation_mode(),
        text.get_horizontalalignment(),
        text.get_verticalalignment(),
        text._get_multialignment(),  # type: ignore[attr-defined]
        text._linespacing,  # type: ignore[attr-defined]
        *_font(text.get_fontproperties()),
    )


def _font(prop: FontProperties) -> tuple[Any, ...]:
    """Return what a font is found by, and its size."""
    return (
        tuple(prop.get_family()),
        prop.get_style(),
        prop.get_variant(),
        prop.get_weight(),
        prop.get_stretch(),
        prop.get_size_in_points(),
        prop.get_file(),
    )
