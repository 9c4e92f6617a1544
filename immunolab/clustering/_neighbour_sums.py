"""The hot loop of means over neighbours."""

from __future__ import annotations

import numpy as np

from immunolab.compiled import compiled


@compiled
def sums_of_neighbours(neighbours, values):  # type: ignore[no-untyped-def]
    """Return the sum of the values of each cell's neighbours, in their order.

    Parameters
    ----------
    neighbours
        Rows of values, cells x neighbours.
    values
        Of shape (cells, values), float64.
    """
    n, k = neighbours.shape
    width = values.shape[1]
    total = np.zeros((n, width))
    for i in range(n):
        for j in range(k):
            row = neighbours[i, j]
            for x in range(width):
                total[i, x] += values[row, x]
    return total
