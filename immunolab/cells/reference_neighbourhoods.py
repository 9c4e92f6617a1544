"""Neighbourhoods of a query's cells, as dense as a reference's own, and how far each is from what its label has.

A neighbourhood is compared by its difference from the rest of its own data set. That is the same difference in the
reference for a kind that is in both, whatever the platform adds to all cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.expression import Array, Neighbours

Labels = NDArray[np.object_]
Values = NDArray[np.float32]

NEIGHBOURS = 15  # cells of a neighbourhood
FEWEST_OF_LABEL = 10  # cells called a label, for a median of its own; else that of all labels
SD_FLOOR = 0.1  # log units added to each feature's sd, so that a rare one is not blown up
FEWEST_WITH = 10  # cells that must have a feature, as scanpy's filter_genes is usually set
_WIDE = 800  # variable features that neighbourhoods are compared over: kinds beyond the reference differ in others
_CLIPPED = 6.0  # sd at which values are clipped


def as_dense(points: Array, called: NDArray[np.int64], sizes: NDArray[np.int64], neighbours: Neighbours) -> Neighbours:
    """Return neighbourhoods among as large a share of the cells as leaves each label the given number of cells.

    Fifteen of many cells are more alike than fifteen of few, and so further from the mean of their label: a query of
    three times the reference's cells had a fifth of its CD8 cells unlike a reference that has them.

    Parameters
    ----------
    points
        Cells x dimensions, in which neighbours are found.
    called
        Number of the label that each cell was called.
    sizes
        Cells of each label among which neighbourhoods are looked for.
    neighbours
        Of each cell among all, itself first; what is returned where a label has no more cells than wanted.
    """
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(0)  # the same cells whatever the seed of the rest
    found, order = neighbours.copy(), rng.permutation(len(points))
    for k, size in enumerate(sizes):
        own = np.flatnonzero(called == k)
        if size >= len(own):
            continue
        n_drawn = int(np.ceil(len(points) * max(int(size), NEIGHBOURS) / len(own)))
        drawn = np.sort(order[: max(n_drawn, NEIGHBOURS)])
        search = NearestNeighbors(n_neighbors=neighbours.shape[1], algorithm="brute").fit(points[drawn])
        near = drawn[search.kneighbors(points[own], return_distance=False)]
        beside = near[:, 0] != own
        near[beside, 1:] = near[beside, :-1]
        found[own] = np.column_stack([own, near[:, 1:]])
    return found


def contrast(
    reference: Values,
    labels: Labels,
    query: Values,
    neighbours: Neighbours,
    logits: Array,
    classes: Labels,
    wide: NDArray[np.int64],
) -> Array:
    """Return how a neighbourhood's difference from its data set differs from what labels have, in sampling errors.

    The first is what no mixture of labels explains, the second the distance from the cell's own label. Both are over
    what the means of so many cells vary by themselves, so that a label may be rare or common in the query.

    Parameters
    ----------
    reference, query
        Cells x the same features.
    labels
        Of the reference's cells.
    neighbours
        Of each cell of the query, itself first.
    logits
        Cells of the query x labels.
    classes
        Labels, in the order of ``logits``.
    wide
        Cells of a neighbourhood of each label.
    """
    called = logits.argmax(axis=1)
    varying = _variable(reference, query)
    own, other = reference[:, varying], query[:, varying]
    spread = np.sqrt((own.var(axis=0) + other.var(axis=0)) / 2.0) + SD_FLOOR
    means = np.stack([own[labels == name].mean(axis=0) for name in classes])
    there = [k for k in range(len(classes)) if (called == k).sum() >= FEWEST_OF_LABEL] or list(range(len(classes)))
    mixed = means[there].mean(axis=0)
    centre = np.mean([other[called == k].mean(axis=0) for k in there if (called == k).any()], axis=0)
    expected = np.stack(
        [np.clip((own[labels == name] - mixed) / spread, -_CLIPPED, _CLIPPED).mean(axis=0) for name in classes]
    )
    z = np.clip((other - centre) / spread, -_CLIPPED, _CLIPPED)
    n = np.minimum(wide[called], neighbours.shape[1])  # a query may have fewer cells than a neighbourhood
    around = _mean_around(neighbours, n, z)
    squares = _mean_around(neighbours, n, (z.astype(np.float64) ** 2).sum(axis=1)[:, None])[:, 0]
    noise = np.where(n > 1, (squares - (around**2).sum(axis=1) + 1e-9) / np.maximum(n - 1.0, 1.0), np.inf)
    weights = np.linalg.lstsq(expected.T, around.T, rcond=None)[0]
    rest = ((around - weights.T @ expected) ** 2).sum(axis=1)
    away = ((around - expected[called]) ** 2).sum(axis=1)
    return np.column_stack([rest / noise, away / noise])


def _mean_around(neighbours: Neighbours, n: NDArray[np.int64], values: Array) -> Array:
    """Return the mean over the first n neighbours of each cell, itself among them."""
    total = np.zeros(values.shape)
    for place, column in enumerate(neighbours.T):
        inside = n > place
        total[inside] += values[column[inside]]
    return np.asarray(total / n[:, None])


def _variable(reference: Values, query: Values) -> NDArray[np.int64]:
    """Return the features that vary most for their mean, in the reference or in the query."""
    one, other = (values.var(axis=0) / (np.abs(values.mean(axis=0)) + 0.05) for values in (reference, query))
    ratio = one + other
    ratio = np.where((query != 0).sum(axis=0) >= min(FEWEST_WITH, len(query)) / 2, ratio, 0.0)
    return np.argsort(-ratio, kind="stable")[:_WIDE]
