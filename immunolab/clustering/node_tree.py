"""Metaclusters: which nodes of a map belong together, at any number of clusters.

Average linkage of bare distances spends clusters on the few nodes that stray events pull away, and cuts a gradient
where it happens to be long. Three things are weighed here instead. A way between two nodes counts double where it
crosses a valley of the events, and goes by way of other nodes where that is shorter, so that a population is one
however long it is. Nodes weigh as their events do. And what is joined depends on how many clusters the events bear
(`cluster_number`): below that number small groups are joined first, so that 0.03 % of the events use up no cluster;
above it the populations stay whole and further clusters take what is farthest from the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Groups = NDArray[np.intp]

# How the cost of a join grows with the smaller group's share of events, as a power (0 is average linkage, 1 Ward's),
# under and over the number of clusters that the events bear; at that number 0. Judgement, 2026-11-26, of -0.4 to 0.5
# in benchmarks/cluster_labels.py: mean adjusted Rand index of 23 labelled sets at 8 to 30 clusters .76, flowsom's .69
_BELOW, _ABOVE = 0.2, -0.25
# the least number of clusters at which small groups and large ones weigh alike: events of continuous markers agree on
# few numbers, and some ten populations of blood are in any panel (judgement, on the same tubes: 8 or 12 up to .02 less)
_FEWEST_BORNE = 10
_VALLEY = 1.0  # what a way through an empty valley costs besides its length, in lengths (judgement: 0.3 to 1 alike)
_PRIOR = 1.0  # events added to both counts of a valley, so that few events show none


@dataclass(frozen=True)
class NodeTree:
    """Nodes with the ways between them.

    Attributes
    ----------
    size
        Events of each node.
    way
        Least cost of a way between two nodes, valleys counted, nodes x nodes.
    apart
        The same of squared lengths, by which a group is far from the rest though each step is short.
    """

    size: Array
    way: Array
    apart: Array

    def groups(self, n: int, borne: int) -> Groups:
        """Return the group of each node, from 0, at a number of groups.

        Parameters
        ----------
        n
            How many; at most the number of nodes.
        borne
            How many clusters the events bear.
        """
        middle = min(max(borne, _FEWEST_BORNE), len(self.size))
        held = _joined(self.way, self.size, 0.0, (middle,))[middle]
        if n <= middle:
            return _joined(self.way, self.size, _BELOW, (n,), start=held)[n]
        n = min(n, len(self.size))
        return _joined(self.apart, self.size, _ABOVE, (n,), within=held)[n]

    def groups_by_number(self, numbers: Iterable[int]) -> dict[int, Groups]:
        """Return the groups at several numbers as if the events bore each of them.

        Parameters
        ----------
        numbers
            Of groups; those beyond the nodes are left out.
        """
        return _joined(self.way, self.size, 0.0, [n for n in numbers if n <= len(self.size)])


def node_tree(nodes: NDArray[np.float32], size: NDArray[np.int64], at_centre: Array, half_way: Array) -> NodeTree:
    """Return the ways between nodes.

    Parameters
    ----------
    nodes
        Of shape (nodes, markers).
    size
        Events of each, at least one.
    at_centre, half_way
        Events of each node at its centre and half way to each other node, as `_nearest.between` counts them.
    """
    points = nodes.astype(np.float64)
    length = np.sqrt(((points[:, None, :] - points[None, :, :]) ** 2).sum(axis=2))
    bridged = (half_way + half_way.T + _PRIOR) / (np.minimum(at_centre, at_centre.T) + _PRIOR)
    cost = length * (1.0 + _VALLEY * (1.0 - np.minimum(bridged, 1.0)))
    return NodeTree(size.astype(np.float64) / size.sum(), _shortest(cost), _shortest(length**2))


def _shortest(cost: Array) -> Array:
    """Return the least cost from each node to each by way of any others (Floyd 1962, Commun ACM 5:345)."""
    least = cost.copy()
    for by in range(len(least)):
        np.minimum(least, least[:, by, None] + least[None, by, :], out=least)
    return least


def _joined(
    distance: Array,
    share: Array,
    power: float,
    numbers: Iterable[int],
    *,
    start: Groups | None = None,
    within: Groups | None = None,
) -> dict[int, Groups]:
    """Return groups at the wanted numbers, joined two by two from nodes or from groups that there are.

    The cost of a join is the mean distance between events of the two groups, times ``(ab / (a + b)) ** power`` of
    their shares; the first of equal costs is taken. With ``within`` only nodes of one of its groups are joined.
    """
    groups = np.arange(len(share)) if start is None else start.copy()
    n = int(groups.max()) + 1
    weight = np.zeros((n, len(share)))
    weight[groups, np.arange(len(share))] = share
    mass = weight.sum(axis=1)
    mean = weight @ distance @ weight.T / (mass[:, None] * mass)
    of = np.zeros(n, dtype=np.intp) if within is None else within[[int(np.argmax(groups == g)) for g in range(n)]]
    cost = np.where(of[:, None] == of, mean * _smaller(mass[:, None], mass) ** power, np.inf)
    np.fill_diagonal(cost, np.inf)
    wanted, found = set(numbers), {}
    for left in range(n, 0, -1):
        if left in wanted:
            found[left] = np.unique(groups, return_inverse=True)[1]
        if left == 1 or not wanted - set(found):
            break
        a, b = sorted(divmod(int(np.argmin(cost)), n))
        mean[a] = mean[:, a] = (mass[a] * mean[a] + mass[b] * mean[b]) / (mass[a] + mass[b])
        mass[a] += mass[b]
        groups[groups == b] = a
        gone = ~np.isfinite(cost[a]) & ~np.isfinite(cost[b])
        cost[a] = cost[:, a] = np.where(gone, np.inf, mean[a] * _smaller(mass, mass[a]) ** power)
        cost[b] = cost[:, b] = cost[a, a] = np.inf
    return found


def _smaller(a: Array, b: Array) -> Array:
    return np.asarray(a * b / (a + b))
