"""The hot loop of doublet scores: how many of a cell's nearest neighbours are simulated."""

from __future__ import annotations

import numpy as np

from immunolab.compiled import compiled


@compiled
def simulated_among_nearest(points, others, n_real, k, nearness, least):  # type: ignore[no-untyped-def]
    """Return how many of the k nearest others of each point are simulated: in a row from ``n_real`` on.

    Parameters
    ----------
    points, others
        Of shape (points, dimensions) and (others, dimensions), float64.
    n_real
        Rows of ``others`` before the simulated ones.
    k
        How many neighbours, one value a point.
    nearness
        Points x others, float32: the greater the nearer, without what all others of a point share. Only those that it
        ranks high enough are measured exactly; of equally near ones the first counts.
    least
        One value a point: the nearness from which others are measured. Where fewer than k are, all are.
    """
    n, d = points.shape
    m = len(others)
    found = np.empty(n, np.int64)
    rows = np.empty(m, np.int64)
    gaps = np.empty(m)
    for i in range(n):
        count = 0
        for j in range(m):
            if nearness[i, j] >= least[i]:
                rows[count] = j
                count += 1
        if count < k[i]:
            count = m
            for j in range(m):
                rows[j] = j
        for c in range(count):
            total = 0.0
            for x in range(d):
                gap = points[i, x] - others[rows[c], x]
                total += gap * gap
            gaps[c] = total
        furthest = np.partition(gaps[:count], k[i] - 1)[k[i] - 1]
        nearer, simulated = 0, 0
        for c in range(count):
            if gaps[c] < furthest:
                nearer += 1
                simulated += rows[c] >= n_real
        for c in range(count):
            if nearer < k[i] and gaps[c] == furthest:
                nearer += 1
                simulated += rows[c] >= n_real
        found[i] = simulated
    return found
