"""A gate at its place in another tube: its vertices, sides or centre moved along the axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from immunolab.gating.following.warp import Warp
from immunolab.gating.strategy import Ellipsoid, Polygon, Rectangle

Shape = Rectangle | Polygon | Ellipsoid
SHAPES = (Rectangle, Polygon, Ellipsoid)


def moved_gate(gate: Shape, warp: Warp) -> Shape:
    """Return a gate moved: open sides stay open, a polygon keeps its vertices, an ellipse is stretched with its ends.

    Parameters
    ----------
    gate
        On the template's scale.
    warp
        Its axes in the order of the gate's dimensions.
    """
    if isinstance(gate, Rectangle):
        return replace(gate, lower=_sides(gate.lower, warp), upper=_sides(gate.upper, warp))
    if isinstance(gate, Polygon):
        x, y = (warp.carried(np.array([vertex[axis] for vertex in gate.vertices]), axis) for axis in (0, 1))
        return replace(gate, vertices=tuple((float(a), float(b)) for a, b in zip(x, y, strict=True)))
    before = np.array(edges_of(gate), dtype=np.float64)
    ends = np.array([warp.carried(edges, axis) for axis, edges in enumerate(before)])
    stretch = np.diff(ends, axis=1)[:, 0] / np.diff(before, axis=1)[:, 0]
    covariance = np.asarray(gate.covariance) * np.outer(stretch, stretch)
    centre = tuple(float(value) for value in ends.mean(axis=1))
    return replace(gate, mean=centre, covariance=tuple(tuple(float(v) for v in row) for row in covariance))


def edges_of(gate: Shape) -> tuple[tuple[float | None, float | None], ...]:
    """Return the lowest and highest place of a gate on each of its axes; None where a side is open."""
    if isinstance(gate, Rectangle):
        return tuple(zip(gate.lower, gate.upper, strict=True))
    if isinstance(gate, Polygon):
        corners = np.array(gate.vertices)
        return tuple((float(low), float(high)) for low, high in zip(corners.min(0), corners.max(0), strict=True))
    reach = np.sqrt(gate.distance_square * np.diag(np.asarray(gate.covariance)))
    return tuple((float(m - r), float(m + r)) for m, r in zip(gate.mean, reach, strict=True))


def _sides(sides: tuple[float | None, ...], warp: Warp) -> tuple[float | None, ...]:
    return tuple(
        None if side is None else float(warp.carried(np.array([side]), axis)[0]) for axis, side in enumerate(sides)
    )
