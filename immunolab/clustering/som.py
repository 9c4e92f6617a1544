"""A self-organising map of events and its metaclusters, after FlowSOM.

Van Gassen et al. 2015 (Cytometry A 87:636) train a 10 x 10 map event by event. Here all events of a pass move the map
at once (Kohonen's batch rule), so the result depends on the seed only, not on the number of threads. Passes that lay
the map out see a part of the events, passes that settle it more and more of them, the last one all. Maps of halves of
the events agree which nodes belong together (`node_groups`) and how many clusters there are (`cluster_number`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.cluster_number import (
    ClusterNumber,
    HalfMap,
    cluster_number,
    half_rows,
    kept_together,
)
from immunolab.clustering.node_groups import agreed_nodes, joined_nodes
from immunolab.clustering.one_group import likelier_apart

Matrix = NDArray[np.float32]
Labels = NDArray[np.int32]

# events of a node under which it only follows the nearest other node: one stray event is no cluster (judgement: three
# alike are seldom chance among a hundred nodes)
_FEWEST_OF_A_NODE = 3
# events that the first nodes, the passes of a wide neighbourhood and the joins of nodes are taken from, and that maps
# are compared on: 200 a node (judgement; labels agree as well as with all events, benchmarks/cluster_labels.py)
_SOME = 20_000
_WIDEST = 1 / 3  # first radius of the neighbourhood, of the grid's side (as in FlowSOM, about)


@dataclass(frozen=True)
class Map:
    """A trained map.

    Attributes
    ----------
    nodes
        float32, nodes x markers, on the scale of the training events.
    labels
        Metacluster of each node, counted from 0, the largest first.
    stability
        For each metacluster the share of its pairs of events that maps of other halves of the events keep together,
        0 to 1; None where there were no such maps.
    number
        How many clusters the events bear; None where it was not asked.
    """

    nodes: Matrix
    labels: Labels
    stability: NDArray[np.float64] | None = None
    number: ClusterNumber | None = None

    def assign(self, events: Matrix) -> Labels:
        """Return the metacluster of each event (events x markers, same scale as in training)."""
        return self.labels[nearest_node(events, self.nodes)]


@dataclass(frozen=True)
class NodeMap:
    """A trained map whose nodes are not joined yet.

    Attributes
    ----------
    nodes
        float32, nodes x markers.
    kept
        Rows of those that hold enough events to be joined; the others follow the nearest of them.
    whole
        Joins of the kept nodes by the events themselves, and their events of those that maps are compared on.
    halves
        The same of maps of halves of the events.
    number
        How many clusters the events bear.
    """

    nodes: Matrix
    kept: NDArray[np.intp]
    whole: HalfMap
    halves: tuple[HalfMap, ...]
    number: ClusterNumber

    def clusters(self, n: int | None = None) -> Map:
        """Return the map with its nodes joined.

        Parameters
        ----------
        n
            Metaclusters; None takes as many as the events bear.
        """
        size = self.whole.nodes.size
        wanted = min(n or self.number.borne, len(size))
        shared = [self.whole.shared_with(half, wanted) for half in self.halves]
        of_kept = _largest_first(agreed_nodes(shared, size).groups(wanted), size)
        labels = of_kept[nearest_node(self.nodes, self.nodes[self.kept])]
        return Map(self.nodes, labels, kept_together(of_kept, shared), self.number)


def train_map(
    events: Matrix,
    n_clusters: int | None = None,
    *,
    grid: tuple[int, int] = (10, 10),
    passes: int = 12,
    seed: int = 0,
    number: ClusterNumber | None = None,
) -> Map:
    """Train a map and join its nodes into metaclusters.

    Parameters
    ----------
    events
        Training events, float32, events x markers, display scale.
    n_clusters
        Metaclusters, at most the number of nodes; None takes as many as the events bear.
    grid
        Rows and columns of the map; FlowSOM's default.
    passes
        Passes over the training events (FlowSOM's default is 10); the neighbourhood shrinks linearly to one node.
    seed
        Of the draws of events.
    number
        How many clusters the events bear, where that is known; None finds it.
    """
    least = n_clusters or 1
    trained = train_nodes(events, grid=grid, passes=passes, seed=seed, least=least, number=number)
    return trained.clusters(n_clusters)


def train_nodes(
    events: Matrix,
    *,
    grid: tuple[int, int] = (10, 10),
    passes: int = 12,
    seed: int = 0,
    least: int = 1,
    number: ClusterNumber | None = None,
) -> NodeMap:
    """Train a map, and maps of halves of the events that say how many clusters there are and which nodes they join.

    Parameters
    ----------
    events, grid, passes, seed, number
        See `train_map`.
    least
        Nodes that are kept at least, however few events they hold.
    """
    rng = np.random.default_rng(seed)
    events = np.ascontiguousarray(events, dtype=np.float32)
    nodes = _train(events, grid, passes, rng)
    shown = events[_drawn(len(events), _SOME, rng)]
    whole, kept = _half_map(shown, nodes, shown, least)
    halves = []
    for rows in half_rows(len(events), rng):
        half = _train(events[rows], grid, passes, rng)
        halves.append(_half_map(events[rows], half, shown, 1)[0])
    trained = NodeMap(nodes, kept, whole, tuple(halves), number or cluster_number(halves, whole))
    if number is None and trained.number.borne > 1 and not likelier_apart(shown, trained.clusters().assign(shown)):
        return replace(trained, number=replace(trained.number, borne=1))
    return trained


def _half_map(seen: Matrix, nodes: Matrix, shown: Matrix, least: int) -> tuple[HalfMap, NDArray[np.intp]]:
    """Return joins of the nodes that hold enough of the seen events, and their rows; so many at least if possible."""
    nearest = nearest_node(seen, nodes)
    size = np.bincount(nearest, minlength=len(nodes))
    kept = np.flatnonzero(size >= max(1, min(_FEWEST_OF_A_NODE, np.sort(size)[-min(least, len(size))])))
    own = nearest_node(seen, nodes[kept])
    settled = np.isin(nearest, kept)  # a stray event would make the node that it follows, and so all groups, wide
    joined = joined_nodes(seen[settled], own[settled], len(kept))
    return HalfMap(joined, own if shown is seen else nearest_node(shown, nodes[kept])), kept


def _largest_first(groups: NDArray[np.intp], size: NDArray[np.int64]) -> Labels:
    """Return the groups numbered by their events, the largest 0."""
    order = np.argsort(-np.bincount(groups, size), kind="stable")
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order))
    return rank[groups]


def _drawn(n: int, most: int, rng: np.random.Generator) -> NDArray[np.intp] | slice:
    """Return rows of at most so many of n events, in order."""
    return slice(None) if n <= most else np.sort(rng.choice(n, most, replace=False))


def nearest_node(events: Matrix, nodes: Matrix) -> Labels:
    """Return the row of the nearest node (Euclidean; the first of equals) for each event.

    Parameters
    ----------
    events
        Of shape (events, markers).
    nodes
        Of shape (nodes, markers), float32.
    """
    result: Labels = _loops().nearest(np.ascontiguousarray(events, dtype=np.float32), np.ascontiguousarray(nodes.T))
    return result


def _train(events: Matrix, grid: tuple[int, int], passes: int, rng: np.random.Generator) -> Matrix:
    n_nodes = grid[0] * grid[1]
    some = events[_drawn(len(events), _SOME, rng)]
    nodes = _first_nodes(some, grid)
    rows, columns = np.divmod(np.arange(n_nodes), grid[1])
    apart = np.maximum(np.abs(rows[:, None] - rows), np.abs(columns[:, None] - columns))
    radii = np.linspace(max(grid) * _WIDEST, 0.0, passes)
    for left, radius in zip(range(passes - 1, -1, -1), radii, strict=True):
        # alone, a node settles among its events: half of all in the pass before the last, a quarter before that
        seen = some if radius >= 1 else events[_drawn(len(events), max(_SOME, len(events) >> left), rng)]
        size, total = _loops().node_sums(seen, np.ascontiguousarray(nodes.T))
        pull = (apart <= radius).astype(np.float64) * np.exp(-0.5 * (apart / max(radius, 0.5)) ** 2)
        weight = pull @ size
        reached = weight > 0
        nodes = nodes.copy()
        nodes[reached] = ((pull @ total)[reached] / weight[reached, None]).astype(np.float32)
    return nodes


def _first_nodes(some: Matrix, grid: tuple[int, int]) -> Matrix:
    """Spread the first nodes over the plane of the two main directions of some events."""
    centre = some.mean(axis=0, dtype=np.float64)
    sample = some.astype(np.float64) - centre
    _, spread, axes = np.linalg.svd(sample, full_matrices=False)
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    scale = 2.0 * spread / np.sqrt(len(sample))
    first = np.linspace(-1, 1, grid[0])[:, None, None] * scale[0] * axes[0]
    second = np.linspace(-1, 1, grid[1])[None, :, None] * (scale[1] * axes[1] if len(axes) > 1 else 0.0)
    return (centre + first + second).reshape(-1, some.shape[1]).astype(np.float32)


def _loops() -> Any:
    from immunolab.clustering import _nearest

    return _nearest
