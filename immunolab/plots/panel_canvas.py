"""A page of many small panels, painted at once: text as outlines, lines and fills as one collection each.

An `Axes` a panel costs more than what is drawn in it. A page is one axes in millimetres from the lower
left corner; marks are gathered and become a handful of artists.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.plots.letters import text_outline
from immunolab.plots.style import MM, SMALL, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Across = Literal["left", "center", "right"]
_POINT = 25.4 / 72  # mm
_CAP, _DESCENT = 0.73, 0.24  # height of capitals and depth of descenders, of the font's size


@dataclass(frozen=True)
class Box:
    """A rectangle on the page, in mm."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Right edge."""
        return self.left + self.width

    @property
    def top(self) -> float:
        """Upper edge."""
        return self.bottom + self.height


@dataclass(frozen=True)
class Word:
    """One line of text; (x, y) is the end of its baseline that ``across`` names, in mm."""

    text: str
    x: float
    y: float
    size: float = SMALL
    across: Across = "left"
    colour: str = "black"
    bold: bool = False
    upward: bool = False
    backed: bool = False


@dataclass
class Page:
    """Marks of a page of ``width`` x ``height`` mm."""

    width: float
    height: float
    words: list[Word] = field(default_factory=list)
    images: list[tuple[Array, Box]] = field(default_factory=list)
    lines: list[tuple[Array, str, float, Box | None]] = field(default_factory=list)
    fills: list[tuple[Array, str]] = field(default_factory=list)
    dots: list[tuple[Array, str]] = field(default_factory=list)

    def write(self, word: Word, within: float | None = None) -> None:
        """Add a word; one longer than ``within`` mm ends in an ellipsis.

        Parameters
        ----------
        word
            Text with its place in mm.
        within
            Width that it may take, mm.
        """
        self.words.append(word if within is None else _cut(word, within))

    def line(self, points: Array, colour: str, width: float, clip: Box | None = None) -> None:
        """Add a line of ``width`` points through (x, y) in mm, drawn only inside ``clip``.

        Parameters
        ----------
        points
            Of shape (points, 2), mm.
        colour
            As matplotlib takes it.
        width
            Points.
        clip
            Box outside which nothing is drawn, mm.
        """
        self.lines.append((points, colour, width, clip))

    def paint(self) -> Figure:
        """Return the page as a figure."""
        fig = figure(self.width * MM, self.height * MM, layout=None)
        self.draw(fig.add_axes((0.0, 0.0, 1.0, 1.0)))
        return fig

    def draw(self, ax: Axes) -> None:
        """Paint the page on axes, which then are in mm."""
        ax.set_axis_off()
        ax.set(xticks=[], yticks=[])  # not drawn, but made by whoever looks through the figure
        for values, box in self.images:
            extent = (box.left, box.right, box.bottom, box.top)
            ax.imshow(values, origin="lower", extent=extent, aspect="auto", interpolation="nearest", zorder=1)
        self._paint_fills(ax)
        self._paint_lines(ax)
        self._paint_words(ax)
        ax.set(xlim=(0, self.width), ylim=(0, self.height))

    def _paint_fills(self, ax: Axes) -> None:
        from matplotlib.collections import PolyCollection

        for colour in dict.fromkeys(tint for _, tint in self.fills):
            shapes = [points for points, tint in self.fills if tint == colour]
            ax.add_collection(PolyCollection(shapes, facecolor=colour, edgecolor="none", zorder=1), autolim=False)
        for colour in dict.fromkeys(tint for _, tint in self.dots):
            x, y = np.concatenate([points for points, tint in self.dots if tint == colour]).T
            ax.plot(x, y, ".", color=colour, markersize=1.6, zorder=4)

    def _paint_lines(self, ax: Axes) -> None:
        from matplotlib.collections import LineCollection
        from matplotlib.transforms import Bbox, TransformedBbox

        groups: dict[tuple[str, float, Box | None], list[Array]] = {}
        for points, colour, width, clip in self.lines:
            groups.setdefault((colour, width, clip), []).append(points)
        for place, ((colour, width, clip), lines) in enumerate(groups.items()):
            drawn = LineCollection(lines, colors=colour, linewidths=width, capstyle="butt", zorder=2 + place * 1e-3)
            ax.add_collection(drawn, autolim=False)
            if clip is not None:
                bounds = Bbox.from_bounds(clip.left, clip.bottom, clip.width, clip.height)
                drawn.set_clip_box(TransformedBbox(bounds, ax.transData))

    def _paint_words(self, ax: Axes) -> None:
        from matplotlib.collections import PathCollection, PolyCollection

        backs = [_back(word) for word in self.words if word.backed]
        ax.add_collection(
            PolyCollection(backs, facecolor="white", edgecolor="none", alpha=0.8, zorder=5), autolim=False
        )
        for colour in dict.fromkeys(word.colour for word in self.words):
            paths = [_path(word) for word in self.words if word.colour == colour]
            ax.add_collection(PathCollection(paths, facecolor=colour, edgecolor="none", zorder=6), autolim=False)


def width_of(text: str, size: float = SMALL, bold: bool = False) -> float:
    """Return the width of a line of text, in mm.

    Parameters
    ----------
    text
        One line.
    size
        Size of the letters in points.
    bold
        Whether it is set in bold.
    """
    return float(text_outline(text, bold)[2]) * size * _POINT


def _path(word: Word):  # type: ignore[no-untyped-def]  # a matplotlib Path, which is imported where it is drawn
    from matplotlib.path import Path

    outline, codes, width = text_outline(word.text, word.bold)
    shift = {"left": 0.0, "center": 0.5, "right": 1.0}[word.across] * width
    placed = (outline - (shift, 0.0)) * word.size * _POINT
    if word.upward:
        placed = np.column_stack([-placed[:, 1], placed[:, 0]])
    return Path(placed + np.array([word.x, word.y]), codes)


def _back(word: Word) -> Array:
    """Return the corners of the patch behind a word."""
    size, edge = word.size * _POINT, 0.3
    left, right = word.x - edge, word.x + width_of(word.text, word.size, word.bold) + edge
    low, high = word.y - _DESCENT * size, word.y + _CAP * size + edge
    return np.array([(left, low), (right, low), (right, high), (left, high)])


def _cut(word: Word, within: float) -> Word:
    def fits(text: str) -> bool:
        return width_of(text, word.size, word.bold) <= within

    if fits(word.text):
        return word
    shorter = [word.text]
    while len(shorter[-1]) > 1:
        shorter.append(f"{shorter[-1].rstrip('…')[:-1].rstrip()}…")
    return replace(word, text=shorter[bisect_left(shorter, True, hi=len(shorter) - 1, key=fits)])


def steps(counts: Sequence[float] | NDArray[np.uint32] | Array, box: Box, top: float) -> Array:
    """Return the outline of a histogram of even bins that fills a box's width, ``top`` at its upper edge.

    Parameters
    ----------
    counts
        Events in each bin.
    box
        Place on the page, in mm.
    top
        Count at the upper edge of the box.

    Returns
    -------
    Array
        Points x 2, in mm.
    """
    edges = np.linspace(box.left, box.right, len(counts) + 1)
    heights = box.bottom + np.asarray(counts, dtype=np.float64) / top * box.height
    points = np.empty((2 * len(counts) + 2, 2))
    points[1:-1, 0] = np.repeat(edges, 2)[1:-1]
    points[1:-1, 1] = np.repeat(heights, 2)
    points[0], points[-1] = (box.left, box.bottom), (box.right, box.bottom)
    return points
