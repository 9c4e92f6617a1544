"""Gates drawn on one scale, written on another: straight edges become as many straight pieces as needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from immunolab.events.transforms import Biex, Bounded, Identity, Linear, Log, Transform
from immunolab.gating.strategy import Ellipsoid

_TOLERANCE = (
    1e-6  # of the display (0..1): a 250th of one of FlowJo's 4,096 channels; judgement, against the number of pieces
)
_ELLIPSE_CORNERS = 720  # one for half a degree: the polygon deviates by 1e-5 of the radius
_MOST_HALVINGS = 12  # of one edge: 4,096 pieces, one a channel of FlowJo's display
_BEYOND = 1e9  # instrument units a unit of the display beyond a scale's end: farther than any event
_HAIR = 1e-12  # relative; above the rounding of double precision, below any difference between events
Point = tuple[float, float]
Family = Transform | Literal["linear", "log"]


def family(scale: Transform) -> Family:
    """Return what scales share on which the same edges are straight (all linear ones; all logarithmic ones)."""
    if isinstance(scale, Identity | Linear):
        return "linear"
    return "log" if isinstance(scale, Log) else scale


def instrument(scale: Transform, value: float) -> float:
    """Return a display value in instrument units; beyond the ends of a scale that holds its ends, far away."""
    low, high = _ends(scale)
    inside = float(scale.inverse(value))
    if low < value < high:
        return inside
    return inside + _BEYOND * (value - (low if value <= low else high))


def displayed(scale: Transform, values: ArrayLike) -> NDArray[np.float64]:
    """Return display values of a gate's coordinates: the inverse of `instrument`.

    A scale that holds its ends holds events there; a corner drawn beyond an end stays beyond it, so that the gate
    contains the events held at that end.

    Parameters
    ----------
    scale
        The scale of the gate.
    values
        Coordinates in instrument units.
    """
    raw = np.asarray(values, dtype=np.float64)
    shown = scale.apply(raw)
    low, high = _ends(scale)
    if np.isfinite(low):
        end = float(scale.inverse(low))
        shown = np.where(raw < end, low + (raw - end) / _BEYOND, shown)
    if np.isfinite(high):
        end = float(scale.inverse(high))
        shown = np.where(raw > end, high + (raw - end) / _BEYOND, shown)
    return shown


def _ends(scale: Transform) -> tuple[float, float]:
    """Return the display values at which a scale holds what is beyond them."""
    if isinstance(scale, Biex):
        return 0.0, 1.0
    return (scale.low, scale.high) if isinstance(scale, Bounded) else (-np.inf, np.inf)


def border(scale: Transform, value: float) -> float:
    """Return a rectangle's border in instrument units, a hair (1e-12) low where the scale is curved.

    An event exactly on the border then stays on the upper side, whatever the last bits of another
    program's arithmetic are.

    Parameters
    ----------
    scale
        The scale of the gate.
    value
        The border on it.
    """
    raw = instrument(scale, value)
    return raw if family(scale) == "linear" else raw - _HAIR * max(1.0, abs(raw))


def bend(corners: Sequence[Point], drawn: tuple[Transform, Transform], needed: tuple[Family, Family]) -> list[Point]:
    """Return a polygon's corners in instrument units, with its edges straight on other scales.

    Where a family differs, edges are halved until they deviate by less than 1e-6 of the display.

    Parameters
    ----------
    corners
        On the scales ``drawn``.
    drawn
        Scale of each axis on which the edges are straight now.
    needed
        For each axis the `family` on which the written edges will be straight; ``linear`` for instrument units.
    """
    if (family(drawn[0]), family(drawn[1])) == needed:
        return [_raw(corner, drawn) for corner in corners]
    target = tuple(_on(kind) for kind in needed)
    closed = [*corners[1:], corners[0]]
    bent: list[Point] = []
    for start, end in zip(corners, closed, strict=True):
        bent += _pieces(start, end, drawn, target, _MOST_HALVINGS)
    return bent


def ellipse_corners(gate: Ellipsoid) -> list[Point]:
    """Return a polygon of the same area as a two-dimensional ellipsoid, on the ellipsoid's scales.

    Parameters
    ----------
    gate
        Two-dimensional.
    """
    step = 2.0 * np.pi / _ELLIPSE_CORNERS
    # a regular polygon inscribed in the unit circle has area n/2 sin(2 pi / n)
    radius = np.sqrt(np.pi / (_ELLIPSE_CORNERS / 2.0 * np.sin(step)) * gate.distance_square)
    angles = np.arange(_ELLIPSE_CORNERS) * step
    circle = np.stack([np.cos(angles), np.sin(angles)])
    root = np.linalg.cholesky(np.asarray(gate.covariance, dtype=np.float64))
    points = np.asarray(gate.mean)[:, None] + radius * (root @ circle)
    return [(float(x), float(y)) for x, y in points.T]


def _on(kind: Family) -> Transform:
    return Identity() if kind == "linear" else Log(1.0, 1.0) if kind == "log" else kind


def _raw(point: Point, scales: tuple[Transform, Transform]) -> Point:
    return instrument(scales[0], point[0]), instrument(scales[1], point[1])


def _pieces(
    start: Point, end: Point, drawn: tuple[Transform, Transform], target: tuple[Transform, ...], halvings: int
) -> list[Point]:
    """Return the corners of one edge without its end."""
    if halvings == 0 or _deviation(start, end, drawn, target) < _TOLERANCE:
        return [_raw(start, drawn)]
    middle = (start[0] + end[0]) / 2.0, (start[1] + end[1]) / 2.0
    return _pieces(start, middle, drawn, target, halvings - 1) + _pieces(middle, end, drawn, target, halvings - 1)


def _deviation(start: Point, end: Point, drawn: tuple[Transform, Transform], target: tuple[Transform, ...]) -> float:
    """Return how far, on the drawn scales, the written edge strays from the drawn one at its quarters."""
    ends = np.array([_raw(start, drawn), _raw(end, drawn)])
    written = np.stack([target[axis].apply(ends[:, axis]) for axis in (0, 1)], axis=1)
    parts = np.array([0.25, 0.5, 0.75])[:, None]
    between = written[0] + parts * (written[1] - written[0])
    seen: NDArray[np.float64] = np.stack(
        [displayed(drawn[axis], target[axis].inverse(between[:, axis])) for axis in (0, 1)], axis=1
    )
    along = np.subtract(end, start)
    length = float(np.hypot(*along))
    if length == 0.0:
        return 0.0
    offsets = seen - np.asarray(start)
    return float(np.abs(offsets[:, 0] * along[1] - offsets[:, 1] * along[0]).max() / length)
