"""Metaclusters: which nodes of a map belong together, at any number of clusters.

Average linkage of distances spends clusters on the few nodes that stray events pull away, and cuts a gradient where it
happens to be long. Here nodes are joined two by two so that the likelihood of normal groups, with their shares, stays
highest (integrated classification likelihood, Biernacki, Celeux and Govaert 2000, IEEE Trans PAMI 22:719): cutting a
normal group in two lowers it, so that real groups part first. One such tree follows the chance of its events, so the
trees of halves of the events vote: nodes are together as often as halves join their events (consensus clustering,
Monti et al. 2003, Mach Learn 52:91).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Groups = NDArray[np.intp]

# added to the variance of every marker in every group, in mean variances within nodes: what nodes do not resolve.
# Judgement, 2026-11-27, of 0.3 to 1.2 on 46 labelled sets: 0.3 to 0.5 alike, more makes subsets of T cells one
_UNRESOLVED = 0.3
# weight of that spread in the covariance of each group, in shares of all events: so many events of belief keep a group
# of few from any shape that its events happen to have (judgement, on the same sets: 0.02 to 0.1 alike)
_BELIEF = 0.05
# least weight of that spread, events a marker: a covariance of d markers is not known from fewer. With 5 % of 250 cells
# in 70 dimensions halves found nothing alike (Mimitou: 2 clusters; with 1 to 3 there are 5 to 7); tubes have more
_BELIEF_PER_MARKER = 1.0
_LEAST_VARIANCE = 1e-12  # where all events are one point


@dataclass(frozen=True)
class Nodes:
    """The events of nodes, and the order in which the nodes are joined.

    Attributes
    ----------
    size
        Events of each node, at least one.
    joins
        Nodes x 2 less one: the group that each join keeps and the one that it ends, by their first nodes.
    """

    size: NDArray[np.int64]
    joins: NDArray[np.int64]

    def groups(self, n: int) -> Groups:
        """Return the group of each node, from 0, at a number of groups; at most as many as nodes.

        Parameters
        ----------
        n
            How many.
        """
        groups = np.arange(len(self.size))
        for kept, ended in self.joins[: max(len(self.size) - n, 0)]:
            groups[groups == ended] = kept
        return np.unique(groups, return_inverse=True)[1]

    def branches(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return the nodes of each branch of the tree, branches x nodes, and the two that each is joined of.

        The nodes come first, then the joins in their order, the last of which holds all; nodes are joined of -1 and -1.
        """
        k = len(self.size)
        held, parts = np.eye(2 * k - 1, k, dtype=np.bool_), np.full((2 * k - 1, 2), -1, dtype=np.int64)
        branch = np.arange(k)
        for at, (kept, ended) in enumerate(self.joins, start=k):
            parts[at] = branch[kept], branch[ended]
            held[at] = held[parts[at]].any(axis=0)
            branch[kept] = at
        return held, parts

    def times_together(self, most: int) -> Array:
        """Return for each two nodes at how many numbers of groups, 2 to so many, they are in one group.

        Parameters
        ----------
        most
            The highest number, at most as many as nodes.
        """
        k = len(self.size)
        times, group = np.full((k, k), most - 1.0), np.arange(k)
        for step, (kept, ended) in enumerate(self.joins):
            one, other = group == kept, group == ended
            times[one[:, None] & other | other[:, None] & one] = max(min(most, k - step - 1) - 1, 0)
            group[other] = kept
        return times


def joined_nodes(events: NDArray[np.float32], own: NDArray[np.integer], k: int) -> Nodes:
    """Return nodes with the order in which they are joined.

    Parameters
    ----------
    events
        Events x markers.
    own
        Node of each event.
    k
        How many nodes; each has an event at least.
    """
    size, mean, scatter = _loops().spreads(events, own, k)
    total, d = float(size.sum()), events.shape[1]
    within = max(float(np.trace(scatter.sum(axis=0))) / (total * d), _LEAST_VARIANCE)
    noise, belief = _UNRESOLVED * within, max(_BELIEF * total, _BELIEF_PER_MARKER * d)
    joins = _loops().likeliest_joins(size.astype(np.float64), mean, scatter, noise, within + noise, belief)
    return Nodes(size, joins)


def agreed_nodes(shared: Sequence[Array], size: NDArray[np.int64]) -> Nodes:
    """Return nodes joined in the order on which several groupings of the same events agree best.

    Two nodes are as near as the chance that an event of one and an event of the other are in one group, mean of the
    groupings; average linkage of events joins them.

    Parameters
    ----------
    shared
        For each grouping the events that each node shares with each of its groups, nodes x groups.
    size
        Events of each node.
    """
    shares = [shares_of_nodes(counts) for counts in shared]
    return joined_by_chance(np.mean([share @ share.T for share in shares], axis=0), size)


def joined_by_chance(together: Array, size: NDArray[np.int64]) -> Nodes:
    """Return nodes joined where the chance is greatest that an event of one and an event of another are together.

    Parameters
    ----------
    together
        That chance, nodes x nodes.
    size
        Events of each node.
    """
    return Nodes(size, _averaged(1.0 - together, size / size.sum()))


def shares_of_nodes(counts: Array) -> Array:
    """Return which share of the events of each node is in each group; of a node without events none.

    Parameters
    ----------
    counts
        Events, nodes x groups.
    """
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)


def _averaged(distance: Array, share: Array) -> NDArray[np.int64]:
    """Return joins two by two at the least mean distance between events, the first of equal ones."""
    mean, mass = distance.copy(), share.copy()
    np.fill_diagonal(mean, np.inf)
    joins = np.empty((len(share) - 1, 2), dtype=np.int64)
    for step in range(len(joins)):
        a, b = sorted(divmod(int(np.argmin(mean)), len(share)))
        row = (mass[a] * mean[a] + mass[b] * mean[b]) / (mass[a] + mass[b])
        mean[a] = mean[:, a] = row
        mean[b] = mean[:, b] = mean[a, a] = np.inf
        mass[a] += mass[b]
        joins[step] = a, b
    return joins


def _loops() -> Any:
    from immunolab.clustering import _joins

    return _joins
