"""Gates of every kind on the picture: outlines, handles, the gate that a drag makes, and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from immunolab.editor.corners import SeenCorner
from immunolab.editor.ellipses import SeenEllipse
from immunolab.editor.polygons import FEWEST_CORNERS, SeenPolygon
from immunolab.editor.rectangles import SeenRectangle
from immunolab.editor.view import Handle, Place, View, within
from immunolab.gating.borders import is_corner
from immunolab.gating.strategy import Ellipsoid, Gate, Polygon, Rectangle

Drawing = Literal["above", "below", "rectangle", "polygon", "ellipse"]
Seen = SeenRectangle | SeenPolygon | SeenCorner | SeenEllipse


def is_drawn(gate: Gate | None, view: View) -> bool:
    """Return whether the picture has all axes of a gate.

    Parameters
    ----------
    gate
        Of a population.
    view
        The picture's axes.
    """
    return isinstance(gate, Rectangle | Polygon | Ellipsoid) and len(view.on_axes(gate)) == len(gate.dimensions)


def seen(gate: Gate | None, view: View) -> Seen | None:
    """Return a gate as it is on the picture; None where it has no border there.

    Parameters
    ----------
    gate
        Of a population.
    view
        The picture's axes.
    """
    if isinstance(gate, Rectangle):
        return SeenRectangle(gate, view)
    if len(view.on_axes(gate)) < 2:
        return None
    if isinstance(gate, Polygon):
        return SeenCorner(gate, view) if is_corner(gate) else SeenPolygon(gate, view)
    return SeenEllipse(gate, view) if isinstance(gate, Ellipsoid) else None


def outline(gate: Gate | None, view: View) -> list[list[Place]]:
    """Return the borders of a gate that are on the picture's axes, as lines.

    Parameters
    ----------
    gate
        Of a population.
    view
        The picture's axes.
    """
    on_picture = seen(gate, view)
    return [] if on_picture is None else on_picture.outline()


def bounds(gate: Gate | None, view: View) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of a gate on the picture, within it; an open side is at the picture's end.

    Parameters
    ----------
    gate
        Of a population.
    view
        The picture's axes.
    """
    on_picture = seen(gate, view)
    if on_picture is None:
        return 0.0, 1.0, 0.0, 1.0
    if isinstance(on_picture, SeenRectangle):
        return on_picture.bounds()
    x, y = zip(*(place for line in on_picture.outline() for place in line), strict=True)
    return within(min(x)), within(max(x)), within(min(y)), within(max(y))


def handles(gate: Gate | None, view: View) -> list[Handle]:
    """Return the handles of a gate; none where the picture cannot change it.

    Parameters
    ----------
    gate
        Of a population.
    view
        The picture's axes.
    """
    on_picture = seen(gate, view)
    return [] if on_picture is None else on_picture.handles()


def moved(gate: Gate | None, view: View, key: str, to: Place) -> Gate:
    """Return the gate with one handle at another place.

    Parameters
    ----------
    gate
        As it is.
    view
        The picture's axes.
    key
        Of the handle.
    to
        Its new place; one beyond the picture is at its end.

    Raises
    ------
    KeyError
        The gate has no such handle on these axes.
    """
    on_picture = seen(gate, view)
    if on_picture is None:
        raise KeyError(key)
    handle = {one.key: one for one in on_picture.handles()}[key]
    return on_picture.moved(handle, (within(to[0]), within(to[1])))


def drawn(shape: Drawing, points: Sequence[Place], view: View) -> Gate | None:
    """Return a new gate on the picture's axes, or None where the points make none.

    Parameters
    ----------
    shape
        What is drawn.
    points
        One point for ``above`` and ``below``, two opposite corners for ``rectangle`` and ``ellipse`` (of the box around
        it), at least three for ``polygon``.
    view
        The picture's axes.
    """
    x = view.x.dimension
    axes = [(letter, view.axis(letter).dimension) for letter in view.letters()]
    at = [[view.to_gate(*axis, within(place)) for axis, place in zip(axes, point, strict=False)] for point in points]
    if shape in ("above", "below"):
        if not at:
            return None
        side = (at[0][0],)
        return Rectangle((x,), side, (None,)) if shape == "above" else Rectangle((x,), (None,), side)
    if view.y is None or len(at) < (FEWEST_CORNERS if shape == "polygon" else 2):
        return None
    both = (x, view.y.dimension)
    if shape == "polygon":
        return Polygon(both, tuple((px, py) for px, py in at))
    low, high = np.min(at[:2], axis=0), np.max(at[:2], axis=0)
    if (low == high).any():
        return None
    if shape == "rectangle":
        return Rectangle(both, tuple(map(float, low)), tuple(map(float, high)))
    half = (high - low) / 2
    spread = ((float(half[0] ** 2), 0.0), (0.0, float(half[1] ** 2)))
    return Ellipsoid(both, tuple(map(float, (low + high) / 2)), spread, 1.0)
