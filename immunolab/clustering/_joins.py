"""The hot loops of joining nodes: spread of each node's events, and the joins that keep normal groups likeliest."""

from __future__ import annotations

import numpy as np

from immunolab.compiled import jit


@jit
def spreads(events, own, k):  # type: ignore[no-untyped-def]  # numba infers them
    """Return events, mean and scatter about the mean of each node.

    Parameters
    ----------
    events
        Of shape (events, markers).
    own
        Node of each event.
    k
        How many nodes.
    """
    n, d = events.shape
    size = np.zeros(k, np.int64)
    mean = np.zeros((k, d))
    scatter = np.zeros((k, d, d))
    for i in range(n):
        size[own[i]] += 1
        for x in range(d):
            mean[own[i], x] += events[i, x]
    for a in range(k):
        for x in range(d):
            mean[a, x] /= max(size[a], 1)
    gap = np.empty(d)
    for i in range(n):
        a = own[i]
        for x in range(d):
            gap[x] = events[i, x] - mean[a, x]
        for x in range(d):
            for y in range(x + 1):
                scatter[a, x, y] += gap[x] * gap[y]
    for a in range(k):
        for x in range(d):
            for y in range(x):
                scatter[a, y, x] = scatter[a, x, y]
    return size, mean, scatter


@jit
def cost(n, scatter, total, noise, within, weight):  # type: ignore[no-untyped-def]  # numba infers them
    """Return minus the log likelihood of a normal group with its share, up to a constant for all events.

    Parameters
    ----------
    n, scatter
        Events of the group, and their scatter about its mean.
    total
        All events.
    noise
        Variance added to each marker.
    within, weight
        Variance of each marker in a usual group, and the events that it counts for.
    """
    d = len(scatter)
    lower = np.zeros((d, d))
    log_det = 0.0
    for x in range(d):
        for y in range(x + 1):
            value = scatter[x, y] / (n + weight)
            if x == y:
                value += (n * noise + weight * within) / (n + weight)
            for z in range(y):
                value -= lower[x, z] * lower[y, z]
            if x == y:
                lower[x, x] = np.sqrt(value)
                log_det += 2.0 * np.log(lower[x, x])
            else:
                lower[x, y] = value / lower[y, y]
    # the trace of the inverse is the sum of the squares of the inverse of the root
    trace = 0.0
    column = np.empty(d)
    for y in range(d):
        for x in range(y, d):
            value = 1.0 if x == y else 0.0
            for z in range(y, x):
                value -= lower[x, z] * column[z]
            column[x] = value / lower[x, x]
            trace += column[x] * column[x]
    return n * (log_det / 2.0 - np.log(n / total)) + weight * (d - within * trace) / 2.0


@jit
def _loss(a, b, n, mean, scatter, alone, total, noise, within, weight):  # type: ignore[no-untyped-def]
    d = mean.shape[1]
    both = n[a] + n[b]
    part = n[a] * n[b] / both
    joined = np.empty((d, d))
    for x in range(d):
        for y in range(d):
            between = (mean[a, x] - mean[b, x]) * (mean[a, y] - mean[b, y])
            joined[x, y] = scatter[a, x, y] + scatter[b, x, y] + part * between
    return cost(both, joined, total, noise, within, weight) - alone[a] - alone[b]


@jit
def likeliest_joins(size, mean, scatter, noise, within, weight):  # type: ignore[no-untyped-def]
    """Return the joins, each of the two groups that lose least: the group kept and the group ended.

    Parameters
    ----------
    size, mean, scatter
        Of each node, as `spreads` gives them, the first in float64.
    noise, within, weight
        See `cost`.
    """
    k, d = mean.shape
    n, mean, scatter = size.copy(), mean.copy(), scatter.copy()
    total = n.sum()
    alone = np.empty(k)
    for a in range(k):
        alone[a] = cost(n[a], scatter[a], total, noise, within, weight)
    loss = np.full((k, k), np.inf)
    for a in range(k):
        for b in range(a + 1, k):
            loss[a, b] = _loss(a, b, n, mean, scatter, alone, total, noise, within, weight)
    there = np.ones(k, np.bool_)
    joins = np.empty((max(k - 1, 0), 2), np.int64)
    for step in range(k - 1):
        least, a, b = np.inf, -1, -1
        for i in range(k):
            for j in range(i + 1, k):
                if there[i] and there[j] and (a < 0 or loss[i, j] < least):
                    least, a, b = loss[i, j], i, j
        joins[step, 0], joins[step, 1] = a, b
        part = n[a] * n[b] / (n[a] + n[b])
        for x in range(d):
            for y in range(d):
                between = (mean[a, x] - mean[b, x]) * (mean[a, y] - mean[b, y])
                scatter[a, x, y] += scatter[b, x, y] + part * between
        for x in range(d):
            mean[a, x] = (n[a] * mean[a, x] + n[b] * mean[b, x]) / (n[a] + n[b])
        n[a] += n[b]
        there[b] = False
        alone[a] = cost(n[a], scatter[a], total, noise, within, weight)
        for c in range(k):
            if there[c] and c != a:
                i, j = min(a, c), max(a, c)
                loss[i, j] = _loss(i, j, n, mean, scatter, alone, total, noise, within, weight)
    return joins
