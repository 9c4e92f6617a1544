"""The hot loops of the map: nearest node of each event, sums of each node, events between nodes."""

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


@jit
def between(events, own, nodes):  # type: ignore[no-untyped-def]  # numba infers them
    """Return how many events of each node are at its centre and half way to each other node, nodes x nodes each.

    Parameters
    ----------
    events
        Of shape (events, markers), float32.
    own
        int32 row of each event's nearest node.
    nodes
        Of shape (nodes, markers), float32.
    """
    k, d = nodes.shape
    at_centre = np.zeros((k, k))
    half_way = np.zeros((k, k))
    for i in range(len(events)):
        a = own[i]
        for b in range(k):
            along = np.float32(0.0)
            length = np.float32(0.0)
            for j in range(d):
                step = nodes[b, j] - nodes[a, j]
                along += step * (events[i, j] - nodes[a, j])
                length += step * step
            # the bins are equally wide, in shares of the way: 0.15 on either side of the centre, 0.15 before half way
            if along > 0.35 * length:
                half_way[a, b] += 1.0
            elif abs(along) < 0.15 * length:
                at_centre[a, b] += 1.0
    return at_centre, half_way
