"""Whether the automatic gate is still where it was when a reader replaced it."""

from __future__ import annotations

import math

import numpy as np

from immunolab.gating.borders import off_axis
from immunolab.gating.gates import Ellipsoid, Gate, Polygon, Rectangle
from immunolab.gating.overrides.shown import shown_gate

# relative difference of coordinates that is rounding: another processor's last digits, with a wide margin (judgement)
_ROUNDING = 1e-6


def moved_since(was: Gate | None, now: Gate | None) -> str:
    """Return where a gate was and is, in words; "" where it did not move, or where nothing is known of it.

    Parameters
    ----------
    was
        As the reader saw it.
    now
        As data place it now.
    """
    if was is None or _same(was, now):
        return ""
    before, after = shown_gate(was), shown_gate(now)
    words = f"{after}, was {before}" if before != after else f"{after}, on another scale"
    return f"the automatic gate has moved since: {words}"


def _same(was: Gate, now: Gate | None) -> bool:
    if type(was) is not type(now):
        return False
    if not isinstance(was, Rectangle | Polygon | Ellipsoid) or not isinstance(now, Rectangle | Polygon | Ellipsoid):
        return was == now
    if [one.name for one in was.dimensions] != [one.name for one in now.dimensions]:
        return False
    a, b = _coordinates(was), _coordinates(now)
    return len(a) == len(b) and bool(np.allclose(a, b, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True))


def _coordinates(gate: Rectangle | Polygon | Ellipsoid) -> list[float]:
    """Return a gate's places in instrument units, an open side as NaN; the shape of an ellipse as on its scales."""
    if isinstance(gate, Ellipsoid):
        centre = [off_axis(axis, value) for axis, value in zip(gate.dimensions, gate.mean, strict=True)]
        return [*centre, *(value for row in gate.covariance for value in row), gate.distance_square]
    points = gate.vertices if isinstance(gate, Polygon) else (gate.lower, gate.upper)
    return [
        math.nan if value is None else off_axis(axis, value)
        for point in points
        for axis, value in zip(gate.dimensions, point, strict=True)
    ]
