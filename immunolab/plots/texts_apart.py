"""Short texts beside points, none over another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.plots.style import NEUTRAL, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

_POINTS = 72.0  # points an inch
# of the smallest text: width of a digit and height, and room around it
_DIGIT, _HEIGHT, _ROOM = 0.62 * SMALL, 0.9 * SMALL, 1.0
_STEP, _RINGS, _WAYS = 3.0, 12, 12  # points between tried distances from a point, how many, and directions at each
_NEAR = 8.0  # points from which a text is joined to its point by a line


def texts_apart(ax: Axes, points: Array, texts: Sequence[str]) -> None:
    """Write a text beside each point where no other text is, as near as that is possible; far ones have a line.

    Parameters
    ----------
    ax
        Axes with their final limits; those of other layouts move what is written a little.
    points
        Texts x 2, in data.
    texts
        The first ones get the nearest places.
    """
    from matplotlib.patheffects import withStroke

    if not len(points):
        return
    whole = ax.figure.figure  # also where the axes are of a part of it (SubFigure)
    whole.draw_without_rendering()  # the layout sets the place of the axes
    places = ax.transData.transform(points) * _POINTS / whole.dpi
    boxes = _boxes(places, np.array([_DIGIT * len(text) for text in texts]))
    outline = [withStroke(linewidth=2.0, foreground="white")]
    for point, place, box, text in zip(points, places, boxes, texts, strict=True):
        offset = box - place
        far = float(np.hypot(*offset)) > _NEAR
        ax.annotate(
            text,
            tuple(point.tolist()),
            xytext=tuple(offset.tolist()),
            textcoords="offset points",
            fontsize=SMALL,
            ha="center",
            va="center",
            path_effects=outline,
            arrowprops={"arrowstyle": "-", "color": NEUTRAL, "linewidth": 0.5, "shrinkA": 4, "shrinkB": 0}
            if far
            else None,
        )


def _boxes(places: Array, width: Array) -> Array:
    """Return the middle of each text, points: the nearest to its place at which it is over none written before."""
    angles = np.linspace(0.25 * np.pi, 2.25 * np.pi, _WAYS, endpoint=False)
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    tried = np.concatenate([np.zeros((1, 2)), *(ring * _STEP * ways for ring in range(1, _RINGS + 1))])
    middle = np.empty_like(places)
    for k, place in enumerate(places):
        near = np.abs((place + tried)[:, None] - middle[None, :k])
        apart = np.stack([(width[k] + width[:k]) / 2 + _ROOM, np.full(k, _HEIGHT + _ROOM)], axis=1)
        free = ~(near < apart).all(axis=2).any(axis=1)
        middle[k] = place + tried[int(np.argmax(free)) if free.any() else 0]
    return middle
