"""Coordinates of gates in instrument units and back, also beyond the ends at which a scale holds events."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from immunolab.events.transforms import Biex, Bounded, Transform

_BEYOND = 1e9  # instrument units a unit of the display beyond a scale's end: farther than any event


def instrument(scale: Transform, value: float) -> float:
    """Return a display value in instrument units; beyond the ends of a scale that holds its ends, far away.

    Parameters
    ----------
    scale
        The scale of the gate.
    value
        A coordinate on it.
    """
    return float(instrument_values(scale, np.array([value]))[0])


def instrument_values(scale: Transform, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return display values in instrument units; see `instrument`.

    Parameters
    ----------
    scale
        The scale of the gate.
    values
        Coordinates on it.
    """
    low, high = ends(scale)
    inside = np.asarray(scale.inverse(values), dtype=np.float64)
    beyond = np.where(values <= low, values - low, np.where(values >= high, values - high, 0.0))
    return np.where(beyond == 0.0, inside, inside + _BEYOND * beyond)


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
    low, high = ends(scale)
    if np.isfinite(low):
        end = float(scale.inverse(low))
        shown = np.where(raw < end, low + (raw - end) / _BEYOND, shown)
    if np.isfinite(high):
        end = float(scale.inverse(high))
        shown = np.where(raw > end, high + (raw - end) / _BEYOND, shown)
    return shown


def ends(scale: Transform) -> tuple[float, float]:
    """Return the display values at which a scale holds what is beyond them."""
    if isinstance(scale, Biex):
        return 0.0, 1.0
    return (scale.low, scale.high) if isinstance(scale, Bounded) else (-np.inf, np.inf)
