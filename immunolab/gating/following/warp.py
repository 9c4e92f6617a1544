"""A move along each axis: piecewise linear, monotone, from the template's scale to a tube's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.method_results import Array


@dataclass(frozen=True)
class Warp:
    """Where each axis moves; beyond the outer knots by the move of the nearest one.

    Attributes
    ----------
    knots
        Places on the template's axes, of shape (axes, knots), rising.
    moves
        How far each is moved, same shape and scale.
    """

    knots: Array
    moves: Array

    def carried(self, values: Array, axis: int) -> Array:
        """Return where places on one of the template's axes are in the tube.

        Parameters
        ----------
        values
            On the template's axis.
        axis
            Its number.
        """
        values = np.asarray(values, dtype=np.float64)
        return values + np.interp(values, self.knots[axis], self.moves[axis])


def taken_back(values: Array, knots: Array, moved: Array) -> tuple[Array, Array, NDArray[np.intp]]:
    """Return places of a tube on the template's axis, the slope there, and the interval of knots each is in.

    Parameters
    ----------
    values
        On the tube's axis.
    knots, moved
        Knots on the template's axis, and where they are in the tube; both rising.

    Returns
    -------
    tuple of array
        Places; d place / d value (1 beyond the outer knots); interval 0 below the first knot to n above the last.
    """
    interval = np.searchsorted(moved, values)
    inner = np.clip(interval - 1, 0, len(knots) - 2)
    slope = ((knots[1:] - knots[:-1]) / (moved[1:] - moved[:-1]))[inner]
    outside = (interval == 0) | (interval == len(knots))
    slope = np.where(outside, 1.0, slope)
    start = np.where(interval == len(knots), len(knots) - 1, np.maximum(interval - 1, 0))
    return knots[start] + slope * (values - moved[start]), slope, interval
