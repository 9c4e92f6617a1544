"""The one hot loop of the map: nearest node of each event, in blocks that stay in the cache."""

from __future__ import annotations

import numpy as np

from immunolab.compiled import compiled


@compiled
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
