"""Communities of a nearest-neighbour graph (Traag, Waltman and van Eck 2019, Sci Rep 9:5233)."""

from __future__ import annotations

import importlib.util
import random
from typing import Any

import numpy as np

from immunolab.clustering.expression import nearest_cells
from immunolab.clustering.som import Labels, Map, Matrix, nearest_node
from immunolab.errors import InputError, Problem

_MOST_EVENTS = 20_000  # of the graph: its time grows faster than its events, and larger ones gave the same partition
_NEIGHBOURS = 15  # scanpy's default
_NODES = 400  # that other events are assigned by: enough for 15 clusters of a planted mixture at an index of 1.000
_NODE_PASSES = 5  # of k-means over the nodes; they serve assignment only and need not converge
_RESOLUTIONS = (0.01, 5.0)  # searched between; Leiden's default is 1
_USUAL_RESOLUTION = 1.0  # Leiden's default
_SEARCHES = 10  # halvings of that range on the log scale: resolution to within 1 %


def leiden_map(events: Matrix, n_clusters: int | None = None, *, seed: int = 0) -> Map:
    """Return nodes and the cluster of each, so that other events go to their nearest node's.

    The graph joins each of at most 20,000 events with its 15 nearest, weighted by the share of
    neighbours they have in common (Jaccard); the resolution is searched for the wanted number of
    clusters. Nodes are the centres of small groups of events, each with its events' commonest cluster.

    Parameters
    ----------
    events
        Events x markers.
    n_clusters
        The number wanted; the nearest that a resolution gives is found. None takes resolution 1.
    seed
        Of the drawn events and of Leiden.

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
    found = _communities(kept, n_clusters, seed)
    nodes = _centres(kept, kept[np.sort(rng.choice(len(kept), min(_NODES, len(kept)), replace=False))])
    votes = np.zeros((len(nodes), int(found.max()) + 1))
    np.add.at(votes, (nearest_node(kept, nodes), found), 1)
    used = votes.sum(axis=1) > 0
    return Map(nodes[used], votes[used].argmax(axis=1).astype(np.int32))


def _centres(events: Matrix, nodes: Matrix) -> Matrix:
    for _ in range(_NODE_PASSES):
        best = nearest_node(events, nodes)
        size = np.bincount(best, minlength=len(nodes))
        total = np.stack([np.bincount(best, column, len(nodes)) for column in events.T.astype(np.float64)], axis=1)
        nodes = np.where(size[:, None] > 0, total / np.maximum(size, 1)[:, None], nodes).astype(np.float32)
    return nodes


def _communities(points: Matrix, n_clusters: int | None, seed: int) -> Labels:
    """Return the community of each event, largest first from 0, with about the wanted number of them."""
    import igraph

    graph, weights = _graph(points, seed)
    low, high = _RESOLUTIONS if n_clusters else (_USUAL_RESOLUTION, _USUAL_RESOLUTION)
    best = np.zeros(len(points), dtype=np.int64)
    for search in range(_SEARCHES):
        resolution = float(np.sqrt(low * high))
        igraph.set_random_number_generator(random.Random(seed))
        parts = graph.community_leiden("modularity", weights=weights, resolution=resolution, n_iterations=2)
        found = np.asarray(parts.membership)
        n = int(found.max()) + 1
        if n_clusters is None:
            best = found
            break
        if search == 0 or abs(n - n_clusters) < abs(int(best.max()) + 1 - n_clusters):
            best = found
        if n == n_clusters:
            break
        low, high = (resolution, high) if n < n_clusters else (low, resolution)
    order = np.argsort(np.argsort(-np.bincount(best), kind="stable"))
    return order[best].astype(np.int32)


# igraph's own Leiden on a graph of shared neighbours: on 20,000 of 200,000 planted events it finds the same partition
# as scanpy.pp.neighbors with scanpy.tl.leiden (index 1.000 both, benchmarks/clustering.py) in 1.6 s against 5.2 s.
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
