"""Membership of geometric shapes, event by event: rectangle sides, polygon, ellipsoid.

Every test looks only at the events marked in ``within`` (the parent's) and releases the GIL.
Where coordinates carry an error (``tolerance`` > 0), an event nearer to an edge than that error
is marked `UNSURE` so that the caller can test it again on exact coordinates. NaN is outside every edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from immunolab.compiled import jit

OUTSIDE, INSIDE, UNSURE = 0, 1, 2
Array = NDArray[np.float64]
Code = NDArray[np.uint8]
Within = NDArray[np.bool_] | NDArray[np.uint8]


def in_interval(
    values: Array, lower: float | None, upper: float | None, within: Within, tolerance: float = 0.0
) -> Code:
    """Return OUTSIDE, INSIDE or UNSURE for ``lower <= value < upper``; None leaves a side open.

    With both sides open every event is inside, NaN too. An event that is UNSURE in ``within`` stays so unless
    it is outside.

    Parameters
    ----------
    values
        One coordinate an event.
    lower, upper
        Ends on the scale of the values.
    within
        State of each event in the parent; an event outside is not looked at.
    tolerance
        Distance from an end, on the scale of the values, within which an event is UNSURE.
    """
    low = -np.inf if lower is None else float(lower)
    high = np.inf if upper is None else float(upper)
    return np.asarray(_interval(values, low, lower is None, high, upper is None, within, tolerance))


def in_polygon(x: Array, y: Array, vertices: ArrayLike, within: Within, tolerance: float = 0.0) -> Code:
    """Return OUTSIDE, INSIDE or UNSURE by the even-odd rule; left and bottom edges are in, right and top out.

    Parameters
    ----------
    x, y
        Coordinates on the polygon's scales, one value an event.
    vertices
        At least three (x, y), closed implicitly; edges may cross.
    within
        State of each event in the parent; an event outside is not looked at.
    tolerance
        Distance from an edge within which an event is UNSURE.
    """
    corners = np.ascontiguousarray(vertices, dtype=np.float64)
    return np.asarray(_polygon(x, y, corners, within, tolerance))


def in_ellipsoid(
    coordinates: Array,
    mean: ArrayLike,
    covariance: ArrayLike,
    distance_square: float,
    within: Within,
    tolerance: float = 0.0,
) -> Code:
    """Return OUTSIDE, INSIDE or UNSURE for ``(v - mean)' inv(covariance) (v - mean) <= distance_square``.

    Parameters
    ----------
    coordinates
        Dimensions x events.
    mean
        Centre, of shape (dimensions,).
    covariance
        Of shape (dimensions, dimensions), positive definite.
    distance_square
        Squared Mahalanobis distance of the surface from the centre.
    within
        State of each event in the parent; an event outside is not looked at.
    tolerance
        Distance from the surface within which an event is UNSURE.
    """
    inverse = np.ascontiguousarray(np.linalg.inv(np.asarray(covariance, dtype=np.float64)))
    centre = np.asarray(mean, dtype=np.float64)
    return np.asarray(_ellipsoid(coordinates, centre, inverse, float(distance_square), within, tolerance))


@jit
def _interval(values, low, open_low, high, open_high, within, tolerance):  # type: ignore[no-untyped-def]
    code = np.zeros(len(values), dtype=np.uint8)
    for i in range(len(values)):
        if within[i]:
            v = values[i]
            if open_low and open_high:
                code[i] = within[i]
            elif tolerance > 0.0 and (abs(v - low) <= tolerance or abs(v - high) <= tolerance):
                code[i] = 2
            elif (open_low or v >= low) and (open_high or v < high) and v == v:
                code[i] = within[i]
    return code


@jit
def _polygon(x, y, corners, within, tolerance):  # type: ignore[no-untyped-def]
    n = len(corners)
    code = np.zeros(len(x), dtype=np.uint8)
    left, right = corners[:, 0].min() - tolerance, corners[:, 0].max() + tolerance
    bottom, top = corners[:, 1].min() - tolerance, corners[:, 1].max() + tolerance
    for i in range(len(x)):
        if not within[i]:
            continue
        px, py = x[i], y[i]
        if not (left <= px <= right and bottom <= py <= top):
            continue
        inside, unsure = False, False
        ax, ay = corners[n - 1, 0], corners[n - 1, 1]
        for k in range(n):
            bx, by = corners[k, 0], corners[k, 1]
            if tolerance > 0.0 and _near(px, py, ax, ay, bx, by, tolerance):
                unsure = True
                break
            if (ay <= py) != (by <= py):
                side = (bx - ax) * (py - ay) - (px - ax) * (by - ay)
                if (side > 0.0) if by > ay else (side < 0.0):
                    inside = not inside
            ax, ay = bx, by
        code[i] = 2 if unsure else (1 if inside else 0)
    return code


@jit
def _near(px, py, ax, ay, bx, by, tolerance):  # type: ignore[no-untyped-def]
    """Whether the square of half-width ``tolerance`` around the point may touch the segment."""
    if px < min(ax, bx) - tolerance or px > max(ax, bx) + tolerance:
        return False
    if py < min(ay, by) - tolerance or py > max(ay, by) + tolerance:
        return False
    side = (bx - ax) * (py - ay) - (px - ax) * (by - ay)
    return abs(side) <= tolerance * (abs(bx - ax) + abs(by - ay))


@jit
def _ellipsoid(coordinates, mean, inverse, limit, within, tolerance):  # type: ignore[no-untyped-def]
    n_dimensions, n = coordinates.shape
    code = np.zeros(n, dtype=np.uint8)
    offset = np.empty(n_dimensions)
    for i in range(n):
        if not within[i]:
            continue
        for d in range(n_dimensions):
            offset[d] = coordinates[d, i] - mean[d]
        distance, slope = 0.0, 0.0
        for d in range(n_dimensions):
            turned = 0.0
            for e in range(n_dimensions):
                turned += inverse[e, d] * offset[e]
                slope += abs(inverse[e, d]) * (2.0 * abs(offset[e]) + tolerance)
            distance += turned * offset[d]
        if tolerance > 0.0 and abs(distance - limit) <= tolerance * slope:
            code[i] = 2
        elif distance <= limit:
            code[i] = 1
    return code
