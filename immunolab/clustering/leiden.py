"""Communities of a nearest-neighbour graph (Traag, Waltman and van Eck 2019, Sci Rep 9:5233)."""

from __future__ import annotations

import importlib.util
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.expression import nearest_cells
from immunolab.clustering.som import Labels, Matrix, nearest_node
from immunolab.errors import InputError, Problem

_MOST_EVENTS = 20_000
_NEIGHBOURS = 15
_NODES = 400
_SEARCHES = 10


def leiden_clusters(events: Matrix, n_clusters: int, *, seed: int = 0) -> tuple[Matrix, Labels]:
    """Return nodes and the cluster of each, counted from 0, so that other events go to their nearest node's.

    The graph joins each of at most 20,000 events with its 15 nearest, weighted by the share of
    neighbours they have in common (Jaccard); the resolution is searched for the wanted number of
    clusters. Nodes are the centres of small groups of events, each with its events' commonest cluster.

    Raises
    ------
    InputError
        igraph is not installed.
    """
    if importlib.util.find_spec("igraph") is None:
        hint = "pip install 'immunolab[leiden]', or take the map: --method flowsom"
        raise InputError(Problem("", "--method leiden", "Leiden needs igraph, which is not installed", hint))
    rng = np.random.default_rng(seed)
    kept = events
    if len(events) > _MOST_EVENTS:
        kept = events[np.sort(rng.choice(len(events), _MOST_EVENTS, replace=False))]
    found = communities(kept, n_clusters, seed)
    nodes = kept[np.sort(rng.choice(len(kept), min(_NODES, len(kept)), replace=False))]
    for _ in range(5):
        best = nearest_node(kept, nodes)
        size = np.bincount(best, minlength=len(nodes))
        total = np.stack([np.bincount(best, column, len(nodes)) for column in kept.T.astype(np.float64)], axis=1)
        nodes = np.where(size[:, None] > 0, total / np.maximum(size, 1)[:, None], nodes).astype(np.float32)
    best = nearest_node(kept, nodes)
    votes = np.zeros((len(nodes), int(found.max()) + 1))
    np.add.at(votes, (best, found), 1)
    held = votes.sum(axis=1) > 0
    return nodes[held], votes[held].argmax(axis=1).astype(np.int32)


def communities(points: Matrix, n_clusters: int, seed: int = 0) -> Labels:
    """Return the community of each event, largest first from 0, with about the wanted number of them."""
    import igraph

    graph, weights = _graph(points, seed)
    low, high = 0.01, 5.0
    best: NDArray[np.int64] | None = None
    for _ in range(_SEARCHES):
        resolution = float(np.sqrt(low * high))
        igraph.set_random_number_generator(random.Random(seed))
        parts = graph.community_leiden("modularity", weights=weights, resolution=resolution, n_iterations=2)
        found = np.asarray(parts.membership)
        n = int(found.max()) + 1
        if best is None or abs(n - n_clusters) < abs(int(best.max()) + 1 - n_clusters):
            best = found
        if n == n_clusters:
            break
        low, high = (resolution, high) if n < n_clusters else (low, resolution)
    assert best is not None  # noqa: S101 - the loop ran
    order = np.argsort(np.argsort(-np.bincount(best), kind="stable"))
    return order[best].astype(np.int32)


def _graph(points: Matrix, seed: int) -> tuple[Any, list[float]]:
    import igraph
    from scipy.sparse import csr_matrix

    near = nearest_cells(points.astype(np.float64), _NEIGHBOURS + 1, seed)
    n, k = near.shape
    rows = np.repeat(np.arange(n), k)
    links = csr_matrix((np.ones(n * k), (rows, near.ravel())), shape=(n, n))
    shared = links.multiply(links @ links.T).tocoo()
    kept = shared.row != shared.col
    a, b = np.minimum(shared.row, shared.col)[kept], np.maximum(shared.row, shared.col)[kept]
    pairs, first = np.unique(a.astype(np.int64) * n + b, return_index=True)
    common = shared.data[kept][first]
    graph = igraph.Graph(n=n, edges=np.column_stack([pairs // n, pairs % n]).tolist())
    return graph, (common / (2 * k - common)).tolist()
