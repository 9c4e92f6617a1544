"""A self-organising map with consensus metaclustering, the method of FlowSOM.

Van Gassen et al. 2015 (Cytometry A 87:636) train a 10 x 10 map event by event. Here all events of a
training sample move the map at once in each pass (Kohonen's batch rule), so the result depends on
the seed only: not on the order of events, nor on the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

Matrix = NDArray[np.float32]
Labels = NDArray[np.int32]

# events of a node under which it only follows the nearest other node: one stray event is no cluster (judgement: three
# alike are seldom chance among a hundred nodes)
_FEWEST_OF_A_NODE = 3
_RESAMPLINGS = 100  # as in FlowSOM's metaClustering_consensus
_SHARE = 0.9  # of the nodes in a resampling; as there
_START_ON = 20_000  # events that the two main directions are taken from; more change the start by nothing that stays


@dataclass(frozen=True)
class Map:
    """A trained map.

    Attributes
    ----------
    nodes
        float32, nodes x markers, on the scale of the training events.
    labels
        Metacluster of each node, counted from 0.
    stability
        For each metacluster the mean share of resamplings in which its nodes stayed together, 0 to 1; None
        where nothing was resampled.
    """

    nodes: Matrix
    labels: Labels
    stability: NDArray[np.float64] | None = None

    def assign(self, events: Matrix) -> Labels:
        """Return the metacluster of each event (events x markers, same scale as in training)."""
        return self.labels[nearest_node(events, self.nodes)]


def train_map(
    events: Matrix, n_clusters: int, *, grid: tuple[int, int] = (10, 10), passes: int = 12, seed: int = 0
) -> Map:
    """Train a map and join its nodes into metaclusters.

    Parameters
    ----------
    events
        Training events, float32, events x markers, display scale.
    n_clusters
        Metaclusters, at most the number of nodes.
    grid
        Rows and columns of the map; FlowSOM's default.
    passes
        Passes over the training events (FlowSOM's default is 10); the neighbourhood shrinks linearly to one node.
    seed
        Of the first nodes and of the resamplings.
    """
    rng = np.random.default_rng(seed)
    nodes = _train(np.ascontiguousarray(events, dtype=np.float32), grid, passes, rng)
    held = np.bincount(nearest_node(events, nodes), minlength=len(nodes))
    kept = np.flatnonzero(held >= min(_FEWEST_OF_A_NODE, np.sort(held)[-n_clusters]))
    of_kept, stability = _consensus_clusters(nodes[kept].astype(np.float64), n_clusters, rng)
    return Map(nodes, of_kept[nearest_node(nodes, nodes[kept])], stability)


def nearest_node(events: Matrix, nodes: Matrix) -> Labels:
    """Return the row of the nearest node (Euclidean; the first of equals) for each event.

    Parameters
    ----------
    events
        Of shape (events, markers).
    nodes
        Of shape (nodes, markers), float32.
    """
    result: Labels = _kernel()(np.ascontiguousarray(events, dtype=np.float32), np.ascontiguousarray(nodes.T))
    return result


def _train(events: Matrix, grid: tuple[int, int], passes: int, rng: np.random.Generator) -> Matrix:
    n_nodes = grid[0] * grid[1]
    nodes = _first_nodes(events, grid, rng)
    rows, columns = np.divmod(np.arange(n_nodes), grid[1])
    apart = np.maximum(np.abs(rows[:, None] - rows), np.abs(columns[:, None] - columns))
    for radius in np.linspace(max(grid) / 3.0, 0.0, passes):
        best = nearest_node(events, nodes)
        size = np.bincount(best, minlength=n_nodes).astype(np.float64)
        total = np.stack([np.bincount(best, column, n_nodes) for column in events.T.astype(np.float64)], axis=1)
        pull = (apart <= radius).astype(np.float64) * np.exp(-0.5 * (apart / max(radius, 0.5)) ** 2)
        weight = pull @ size
        reached = weight > 0
        nodes = nodes.copy()
        nodes[reached] = ((pull @ total)[reached] / weight[reached, None]).astype(np.float32)
    return nodes


def _first_nodes(events: Matrix, grid: tuple[int, int], rng: np.random.Generator) -> Matrix:
    """Spread the first nodes over the plane of the two main directions of the events."""
    centre = events.mean(axis=0, dtype=np.float64)
    sample = events[rng.choice(len(events), min(len(events), _START_ON), replace=False)].astype(np.float64) - centre
    _, spread, axes = np.linalg.svd(sample, full_matrices=False)
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    scale = 2.0 * spread / np.sqrt(len(sample))
    first = np.linspace(-1, 1, grid[0])[:, None, None] * scale[0] * axes[0]
    second = np.linspace(-1, 1, grid[1])[None, :, None] * (scale[1] * axes[1] if len(axes) > 1 else 0.0)
    return (centre + first + second).reshape(-1, events.shape[1]).astype(np.float32)


def _consensus_clusters(
    points: NDArray[np.float64], n_clusters: int, rng: np.random.Generator
) -> tuple[Labels, NDArray[np.float64]]:
    """Join points by how often average linkage keeps them together in resamplings of 90 % of them.

    Consensus clustering of Monti et al. 2003 (Machine Learning 52:91). Returns labels counted from 0 in
    order of first appearance, and each cluster's mean consensus.
    """
    n = len(points)
    k = min(n_clusters, n)
    together, drawn = np.zeros((n, n)), np.zeros((n, n))
    for _ in range(_RESAMPLINGS):
        chosen = np.sort(rng.choice(n, max(k, round(_SHARE * n)), replace=False))
        labels = fcluster(linkage(points[chosen], "average"), k, "maxclust")
        drawn[np.ix_(chosen, chosen)] += 1
        together[np.ix_(chosen, chosen)] += labels[:, None] == labels
    consensus = np.divide(together, drawn, out=np.zeros_like(together), where=drawn > 0)
    np.fill_diagonal(consensus, 1.0)
    found = fcluster(linkage(squareform(1.0 - consensus, checks=False), "average"), k, "maxclust")
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int32)
    order[np.argsort(first)] = np.arange(len(first))
    final = order[inverse].astype(np.int32)
    stability = [consensus[np.ix_(final == c, final == c)].mean() for c in range(len(first))]
    return final, np.array(stability)


def _kernel() -> Any:
    from immunolab.clustering._nearest import nearest

    return nearest
