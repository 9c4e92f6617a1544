"""The hot loops of the map: nearest node of each event, sums of each node."""

from __future__ import annotations

import numpy as np

from immunolab.compiled import jit


@jit
def nearest(events, nodes_by_marker):  # type: ignore[no-untyped-def]  # numba infers them
    """Return int32 rows of the nearest node; ``nodes_by_marker`` is markers x nodes, float32.

    Parameters
    ----------
    events
        Of shape (events, markers), float32.
    nodes_by_marker
        Of shape (markers, nodes), float32.
    """
    n, d = events.shape
    k = nodes_by_marker.shape[1]
    best = np.empty(n, np.int32)
    distance = np.empty(k, np.float32)
    for i in range(n):
        distance[:] = 0.0
        for j in range(d):
            x = events[i, j]
            row = nodes_by_marker[j]
            for c in range(k):
                gap = row[c] - x
                distance[c] += gap * gap
        low = distance[0]
        at = 0
        for c in range(1, k):
            if distance[c] < low:
                low = distance[c]
                at = c
        best[i] = at
    return best


@jit
def node_sums(events, nodes_by_marker):  # type: ignore[no-untyped-def]  # numba infers them
    """Return the number of events nearest to each node, and their sums, nodes x markers, in float64.

    Parameters
    ----------
    events, nodes_by_marker
        As in `nearest`.
    """
    n, d = events.shape
    k = nodes_by_marker.shape[1]
    size = np.zeros(k, np.int64)
    total = np.zeros((k, d))
    own = nearest(events, nodes_by_marker)
    for i in range(n):
        at = own[i]
        size[at] += 1
        for j in range(d):
            total[at, j] += events[i, j]
    return size, total
