"""Clusters found on a subsample, and the cluster of every other event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.cluster_number import ClusterNumber
from immunolab.clustering.leiden import leiden_map
from immunolab.clustering.som import Labels, Map, Matrix, train_map

ClusterMethod = Literal["flowsom", "leiden"]
TRAIN_ON = 100_000  # events that clusters are found on: judgement, rare clusters against minutes
NOT_CLUSTERED_ON = ("Viability", "dump", "DNA1", "DNA2")  # they say whether an event is a cell, not which
# Quantiles that a marker's events run between (judgement): no stray event sets it. One width serves all markers, the
# widest, for they are on scales on which noise is alike: a marker without positive events is no wider than its noise
_RANGE = (0.005, 0.995)
_BLOCK = 262_144  # events scaled and placed at once: judgement, some 30 MB beside a tube of any size
_LEAST_WIDTH = 1e-6  # display units; a marker without any spread is left as it is


@dataclass(frozen=True)
class Clusters:
    """Clusters of a training sample, and the scale they were found on.

    Attributes
    ----------
    map
        Nodes, and the cluster of each, counted from 0.
    low, width
        What is taken off each marker and what all are then divided by, display units.
    sample, labels
        The scaled training events, events x markers, and their clusters.
    """

    map: Map
    low: NDArray[np.float64]
    width: NDArray[np.float64]
    sample: Matrix
    labels: Labels

    @property
    def n(self) -> int:
        """Number of clusters that training events are in."""
        return int(self.labels.max()) + 1

    def shown(self, scaled: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return values of each marker on the display scale (markers as the last axis)."""
        return np.asarray(scaled * self.width + self.low)

    def assign(self, events: NDArray[np.floating]) -> Labels:
        """Return the cluster of each event (events x markers, display scale)."""
        blocks = (events[first : first + _BLOCK] for first in range(0, max(len(events), 1), _BLOCK))
        return np.concatenate([self.map.assign(_scaled(block, self.low, self.width)) for block in blocks])


def train(
    events: Matrix,
    n_clusters: int | None,
    *,
    method: ClusterMethod = "flowsom",
    seed: int = 0,
    number: ClusterNumber | None = None,
) -> Map:
    """Return the map that a method finds.

    Parameters
    ----------
    events
        Events x markers, within about 0 to 1.
    n_clusters
        How many; Leiden comes as near as its resolution allows. None takes as many as the events bear
        (`cluster_number`), and of Leiden those at its usual resolution.
    method
        ``flowsom`` (self-organising map with metaclusters) or ``leiden`` (nearest-neighbour graph).
    seed
        Of every random draw.
    number
        How many clusters the events bear, where that is known; None finds it.
    """
    if method == "leiden":
        return leiden_map(events, n_clusters, seed=seed)
    return train_map(events, n_clusters, seed=seed, number=number)


def find_clusters(
    events: Matrix, n_clusters: int | None, *, method: ClusterMethod = "flowsom", seed: int = 0, scale: bool = True
) -> Clusters:
    """Return the clusters of a training sample.

    Parameters
    ----------
    events
        Events x markers, display scale.
    n_clusters, method, seed
        See `train`.
    scale
        Whether columns are brought to about 0 to 1 first, as markers need it and principal components do not.
    """
    low, width = np.zeros(events.shape[1]), np.ones(events.shape[1])
    if scale:
        low, high = np.quantile(events, _RANGE, axis=0)
        width = np.full(len(low), max(float(np.max(high - low)), _LEAST_WIDTH))
    scaled = _scaled(events, low, width)
    found = train(scaled, n_clusters, method=method, seed=seed)
    return Clusters(found, low, width, scaled, found.assign(scaled))


def _scaled(events: NDArray[np.floating], low: NDArray[np.float64], width: NDArray[np.float64]) -> Matrix:
    return np.ascontiguousarray((events - low) / width, dtype=np.float32)
