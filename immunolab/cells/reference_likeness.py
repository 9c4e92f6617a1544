"""Which cells are unlike all of a reference: further out than nearly all of its own cells that were held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.reference_neighbourhoods import FEWEST_OF_LABEL
from immunolab.clustering.expression import Array


def likeness(known: Array, called: NDArray[np.int64], distance: Array, label: NDArray[np.int64]) -> Array:
    """Return the least share, over measures, of the reference's own cells that are as far out.

    Each measure is taken from the median of its label in units of the way to the upper tenth; so the cells of all
    labels are one null, and a label of few cells has as fine a border as others.

    Parameters
    ----------
    known, distance
        Cells x measures of the reference's own cells, held out, and of the query's.
    called, label
        Number of the label that each was called, of the reference's own and of the query's.
    """
    distance = distance / _common_excess(known, called, distance, label)
    null, own = np.empty_like(known), np.empty_like(distance)
    for k in np.union1d(called, label):
        inside = called == k if (called == k).sum() >= FEWEST_OF_LABEL else np.ones(len(called), dtype=bool)
        middle, upper = np.median(known[inside], axis=0), np.quantile(known[inside], 0.9, axis=0)
        spread = np.maximum(upper - middle, 1e-9)
        null[called == k] = (known[called == k] - middle) / spread
        own[label == k] = (distance[label == k] - middle) / spread
    least = np.ones(len(distance))
    for column in range(distance.shape[1]):
        ordered = np.sort(null[:, column])
        beyond = len(ordered) - np.searchsorted(ordered, own[:, column])
        least = np.minimum(least, (beyond + 1.0) / (len(ordered) + 1.0))
    return least


def _common_excess(known: Array, called: NDArray[np.int64], distance: Array, label: NDArray[np.int64]) -> Array:
    """Return by how much the least affected label is further out than in the reference, measure by measure.

    What moves the cells of every label is the donor's or the laboratory's. A kind that the reference lacks is among the
    cells of one label or of some, and leaves the others where they are.
    """
    excess = np.full(distance.shape[1], np.inf)
    for k in np.unique(label):
        own, null = label == k, called == k
        if min(own.sum(), null.sum()) >= FEWEST_OF_LABEL:
            excess = np.minimum(excess, np.median(distance[own], axis=0) / np.median(known[null], axis=0))
    excess = np.where(np.isfinite(excess), np.maximum(excess, 1.0), 1.0)
    excess[0] = 1.0  # a logit has no zero to scale from
    return np.asarray(excess)
