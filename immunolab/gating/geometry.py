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
_CELLS = 32  # a side of the grid over a polygon: judgement, an eighth of its cells is at the edges of a drawn gate
_WORTH_CELLS = 4096  # events; with fewer the 1,024 cells cost more than they save (benchmarks/batch.py)
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
    code = np.zeros(len(x), dtype=np.uint8)
    left, right = corners[:, 0].min() - tolerance, corners[:, 0].max() + tolerance
    bottom, top = corners[:, 1].min() - tolerance, corners[:, 1].max() + tolerance
    wide, high = (right - left) / _CELLS, (top - bottom) / _CELLS
    by_cell = len(x) >= _WORTH_CELLS and wide > 0.0 and high > 0.0 and wide < np.inf and high < np.inf
    cells = np.empty((0, 0), dtype=np.uint8)
    if by_cell:
        cells = _cells(corners, left, bottom, wide, high, tolerance)
    chosen, n_chosen = np.empty(len(x), dtype=np.int64), 0
    for i in range(len(x)):  # no branch, for which of the parent's events are in the box is hard to foresee
        chosen[n_chosen] = i
        boxed = (x[i] >= left) & (x[i] <= right) & (y[i] >= bottom) & (y[i] <= top)
        n_chosen += (within[i] != 0) & boxed
    for i in chosen[:n_chosen]:
        state = 2
        if by_cell:
            column, row = min(int((x[i] - left) / wide), _CELLS - 1), min(int((y[i] - bottom) / high), _CELLS - 1)
            state = cells[row, column]
        code[i] = _in_corners(x[i], y[i], corners, tolerance) if state == 2 else state
    return code


@jit
def _cells(corners, left, bottom, wide, high, tolerance):  # type: ignore[no-untyped-def]
    """Return OUTSIDE or INSIDE for each cell of a grid over the polygon, UNSURE for one that an edge may touch."""
    found = np.empty((_CELLS, _CELLS), dtype=np.uint8)
    # an edge that is this near touches: far more than rounding, of cells and of coordinates, can move an event
    far = 1e-15 * max(abs(left), abs(left + _CELLS * wide), abs(bottom), abs(bottom + _CELLS * high))
    half_wide, half_high = (0.5 + 1e-6) * wide + tolerance + far, (0.5 + 1e-6) * high + tolerance + far
    for row in range(_CELLS):
        for column in range(_CELLS):
            px, py = left + (column + 0.5) * wide, bottom + (row + 0.5) * high
            touched = False
            for k in range(len(corners)):
                ax, ay, bx, by = corners[k - 1, 0], corners[k - 1, 1], corners[k, 0], corners[k, 1]
                if px < min(ax, bx) - half_wide or px > max(ax, bx) + half_wide:
                    continue
                if py < min(ay, by) - half_high or py > max(ay, by) + half_high:
                    continue
                side = (bx - ax) * (py - ay) - (px - ax) * (by - ay)
                if abs(side) <= half_wide * abs(by - ay) + half_high * abs(bx - ax):
                    touched = True
                    break
            found[row, column] = 2 if touched else _in_corners(px, py, corners, 0.0)
    return found


@jit
def _in_corners(px, py, corners, tolerance):  # type: ignore[no-untyped-def]
    """Return OUTSIDE, INSIDE or UNSURE for one event, edge by edge."""
    inside = False
    for k in range(len(corners)):
        ax, ay, bx, by = corners[k - 1, 0], corners[k - 1, 1], corners[k, 0], corners[k, 1]
        if tolerance > 0.0 and _near(px, py, ax, ay, bx, by, tolerance):
            return 2
        if (ay <= py) != (by <= py):
            side = (bx - ax) * (py - ay) - (px - ax) * (by - ay)
            if (side > 0.0) if by > ay else (side < 0.0):
                inside = not inside
    return 1 if inside else 0


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
