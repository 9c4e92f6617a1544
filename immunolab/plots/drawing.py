"""A figure drawn once for all of its files: calls to Agg that draw are kept, and made again for PDF and SVG.

A third of the time that a figure's files take goes into finding out what is to be drawn: ticks, places of texts,
colours, images at the file's resolution. That does not depend on the kind of file.
"""

from __future__ import annotations

from copy import copy
from functools import cache
from math import cos, radians, sin
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from immunolab.plots.text_places import text_width

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure

_CALLS = {  # all that draws, of `matplotlib.backend_bases.RendererBase`, and what encloses it
    "draw_path",
    "draw_markers",
    "draw_path_collection",
    "draw_quad_mesh",
    "draw_gouraud_triangles",
    "draw_image",
    "draw_text",
    "open_group",
    "close_group",
    "start_rasterizing",
    "stop_rasterizing",
}
_BEGINS = 0.01  # share of a text's width: less before its anchor is the room beside its first letter


class KeptRenderer:
    """Agg's renderer, which keeps the calls that draw.

    Attributes
    ----------
    calls
        Name of each, its arguments in pixels of this renderer, and of a text, how much of its width is before
        the point that it is placed by (0 where it begins there, 1 where it ends).
    """

    def __init__(self, agg: RendererAgg) -> None:
        self._agg = agg
        self._clips: dict[int, tuple[Any, Any]] = {}
        self.calls: list[tuple[str, list[Any], dict[str, Any], float]] = []

    def __getattr__(self, name: str) -> Any:
        if name not in _CALLS:
            return getattr(self._agg, name)

        def call(*given: Any, **named: Any) -> Any:
            share = self._share_before(*given, **named) if name == "draw_text" else 0.0
            self.calls.append((name, [self._as_it_is(one) for one in given], named, share))
            return getattr(self._agg, name)(*given, **named)

        self.__dict__[name] = call  # found at once from now on
        return call

    def _as_it_is(self, given: Any) -> Any:
        """Return an argument that later changes of the figure leave alone."""
        from matplotlib.backend_bases import GraphicsContextBase
        from matplotlib.transforms import Transform

        if isinstance(given, Transform):
            return given.frozen()
        if isinstance(given, GraphicsContextBase):
            kept: Any = copy(given)
            kept._cliprect, kept._clippath = self._clip(kept._cliprect), self._clip(kept._clippath)
            return kept
        return given

    def _share_before(
        self, _: Any, x: float, y: float, text: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> float:
        """Return the share of a text's width that is before its anchor; letters have other widths in other files."""
        if mtext is None:
            return 0.0
        anchor_x, anchor_y = mtext.get_transform().transform(mtext.get_unitless_position())
        across, up = anchor_x - x, anchor_y - (self.height - y)
        along = across * cos(radians(angle)) + up * sin(radians(angle))
        width = text_width(self._agg, text, prop, ismath)
        return float(along / width) if width else 0.0

    def _clip(self, clip: Any) -> Any:
        """Return what is drawn within, as it is now: one object for one of the figure's, by which a PDF knows it."""
        if id(clip) not in self._clips:
            self._clips[id(clip)] = clip, _frozen_clip(clip)
        return self._clips[id(clip)][1]


def _frozen_clip(clip: Any) -> Any:
    from matplotlib.transforms import BboxBase, TransformedPath

    if clip is None:
        return None
    if isinstance(clip, BboxBase):
        return clip.frozen()
    path, transform = clip.get_transformed_path_and_affine()
    return TransformedPath(path, transform.frozen())


def drawn_again(renderer: KeptRenderer, size: tuple[float, float]) -> Figure:
    """Return a figure that makes a renderer's calls again, to be saved as PDF or SVG.

    Parameters
    ----------
    renderer
        What drew the figure.
    size
        Width and height in inches, of which the renderer has whole pixels.
    """
    again: Any = _figure_of_calls()(figsize=size)
    again.kept = renderer
    return cast("Figure", again)


@cache
def _figure_of_calls() -> type[Figure]:
    from matplotlib.figure import Figure

    class FigureOfCalls(Figure):
        """A figure without artists, drawn by kept calls."""

        kept: KeptRenderer

        def draw(self, renderer: Any) -> None:
            saved_at = round(self.dpi * renderer.get_image_magnification())
            if saved_at != self.kept.dpi:  # pictures are kept as pixels
                raise ValueError(f"drawn at {self.kept.dpi} dots per inch, to be saved at {saved_at}")
            scaled = _Scaled(renderer, self.kept, 0.0)
            for name, given, named, share in self.kept.calls:
                if scaled.scale != self.dpi / self.kept.dpi:  # what a PDF has as pixels, Agg draws between
                    scaled = _Scaled(renderer, self.kept, self.dpi / self.kept.dpi)
                values = [scaled.of(one) for one in given]
                if name == "draw_image":
                    values[1:3] = given[1] * scaled.scale, given[2] * scaled.scale
                elif name == "draw_text":
                    values[1:3] = scaled.place(share, *given[1:], **named)
                getattr(renderer, name)(*values, **named)

    return FigureOfCalls


class _Scaled:
    """Arguments of calls in the units of another renderer."""

    def __init__(self, renderer: Any, kept: KeptRenderer, scale: float) -> None:
        from matplotlib.transforms import Affine2D

        self._renderer, self._kept, self.scale, self._scale = renderer, kept, scale, Affine2D().scale(scale)
        self._clips: dict[int, Any] = {}

    def of(self, given: Any) -> Any:
        """Return an argument, scaled where it has a place or a size in pixels."""
        from matplotlib.backend_bases import GraphicsContextBase
        from matplotlib.transforms import Affine2DBase

        if isinstance(given, Affine2DBase):
            return self._moved(given)
        return self._context(given) if isinstance(given, GraphicsContextBase) else given

    def place(
        self, share: float, x: float, y: float, text: str, prop: Any, angle: float, ismath: Any = False, **_: Any
    ) -> tuple[float, float]:
        """Return where a text begins that is as wide as this renderer has it, about the point that it is placed by."""
        x, y = x * self.scale, (self._kept.height - y) * self.scale
        if abs(share) > _BEGINS:
            was = text_width(self._kept, text, prop, ismath) * self.scale
            before = share * (was - text_width(self._renderer, text, prop, ismath))
            x, y = x + before * cos(radians(angle)), y + before * sin(radians(angle))
        return x, self._renderer.get_canvas_width_height()[1] - y if self._renderer.flipy() else y

    def _context(self, given: Any) -> Any:
        own = self._renderer.new_gc()
        own.copy_properties(given)
        own._cliprect, own._clippath = self._clip(given._cliprect), self._clip(given._clippath)
        return own

    def _moved(self, transform: Any) -> Any:
        from matplotlib.transforms import Affine2D

        return Affine2D(np.dot(self._scale.get_matrix(), transform.get_matrix()))

    def _clip(self, clip: Any) -> Any:
        from matplotlib.transforms import BboxBase, TransformedPath

        if clip is None:
            return None
        if id(clip) not in self._clips:
            if isinstance(clip, BboxBase):
                self._clips[id(clip)] = clip.transformed(self._scale)
            else:
                path, transform = clip.get_transformed_path_and_affine()
                self._clips[id(clip)] = TransformedPath(path, self._moved(transform))
        return self._clips[id(clip)]
