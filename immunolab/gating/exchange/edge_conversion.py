"""Gates drawn on one scale, written on another: straight edges become as many straight pieces as needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import GatingError
from immunolab.events.scale_ends import displayed, instrument, instrument_values
from immunolab.events.transforms import Identity, Linear, Log, Transform
from immunolab.gating.gates import Ellipsoid

_TOLERANCE = (
    1e-6  # of the display (0..1): a 250th of one of FlowJo's 4,096 channels; judgement, against the number of pieces
)
_ELLIPSE_CORNERS = 720  # one for half a degree: the polygon deviates by 1e-5 of the radius
_MOST_HALVINGS = 12  # of one edge: 4,096 pieces, one a channel of FlowJo's display
_MOST_PIECES = 100_000  # of one polygon: 24 edges halved as often as may be (judgement: a second, 20 MB)
_HAIR = 1e-12  # relative; above the rounding of double precision, below any difference between events
Point = tuple[float, float]
Family = Transform | Literal["linear", "log"]
_Scales = tuple[Transform, Transform]


def family(scale: Transform) -> Family:
    """Return what scales share on which the same edges are straight (all linear ones; all logarithmic ones)."""
    if isinstance(scale, Identity | Linear):
        return "linear"
    return "log" if isinstance(scale, Log) else scale


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


class TooManyCorners(GatingError):
    """A polygon has more corners in instrument units than can be handled."""


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

    Raises
    ------
    TooManyCorners
        The polygon would have more corners than can be handled.
    """
    if (family(drawn[0]), family(drawn[1])) == needed:
        return [_raw(corner, drawn) for corner in corners]
    target = _on(needed[0]), _on(needed[1])
    starts = _halved(np.asarray(corners, dtype=np.float64), drawn, target)
    raw = np.stack([instrument_values(drawn[axis], starts[:, axis]) for axis in (0, 1)], axis=1)
    return list(zip(raw[:, 0].tolist(), raw[:, 1].tolist(), strict=True))


def _halved(corners: NDArray[np.float64], drawn: _Scales, target: _Scales) -> NDArray[np.float64]:
    """Return a polygon's corners with its edges halved as often as they need; each piece is looked at once.

    A piece has its place along the outline, its edge's number and the fraction of the edge behind it, which halving
    gives to the last bit.
    """
    starts, places = np.stack([corners, _carried(corners, drawn, target)]), np.arange(len(corners), dtype=np.float64)
    ends = np.roll(starts, -1, axis=1)
    straight, their_places, n_straight = [], [], 0
    for halvings in range(1, _MOST_HALVINGS + 1):
        bent = ~(_deviation(starts, ends, drawn, target) < _TOLERANCE)  # no number: halved too
        n_straight += int(np.count_nonzero(~bent))
        straight.append(starts[0, ~bent])
        their_places.append(places[~bent])
        starts, ends, places = starts[:, bent], ends[:, bent], places[bent]
        if not len(places):
            break
        if n_straight + 2 * len(places) > _MOST_PIECES:
            raise TooManyCorners(f"the polygon needs more than {_MOST_PIECES:,} corners on the other scale")
        points = (starts[0] + ends[0]) / 2.0
        middle = np.stack([points, _carried(points, drawn, target)])
        starts, ends = np.concatenate([starts, middle], axis=1), np.concatenate([middle, ends], axis=1)
        places = np.concatenate([places, places + 0.5**halvings])
    order = np.argsort(np.concatenate([*their_places, places]), kind="stable")
    found: NDArray[np.float64] = np.concatenate([*straight, starts[0]])[order]
    return found


def _carried(points: NDArray[np.float64], drawn: _Scales, target: _Scales) -> NDArray[np.float64]:
    """Return points of the drawn scales on those where written edges are straight."""
    values = [target[axis].apply(instrument_values(drawn[axis], points[:, axis])) for axis in (0, 1)]
    return np.stack(values, axis=1)


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


def _deviation(
    starts: NDArray[np.float64], ends: NDArray[np.float64], drawn: _Scales, target: _Scales
) -> NDArray[np.float64]:
    """Return how far, on the drawn scales, each written edge strays from the drawn one at its quarters.

    Starts and ends are on the drawn scales and carried to the target's, in this order.
    """
    parts = np.array([0.25, 0.5, 0.75])
    offsets = []
    for axis in (0, 1):
        first, last = starts[1, :, axis], ends[1, :, axis]
        between = first[:, None] + parts * (last - first)[:, None]
        offsets.append(displayed(drawn[axis], target[axis].inverse(between)) - starts[0, :, axis, None])
    along = ends[0] - starts[0]
    length = np.hypot(along[:, 0], along[:, 1])
    across = np.abs(offsets[0] * along[:, 1, None] - offsets[1] * along[:, 0, None]).max(axis=1)
    return np.divide(across, length, out=np.zeros(len(length)), where=length > 0.0)
