"""How many clusters the events bear: as many as maps of other halves of the events find again, none within another.

The nodes of the map of all events are joined to a tree as the halves have them together, at all numbers of clusters.
A branch of it is found again where halves have one like it, at whatever number (mean Jaccard index, Hennig 2007, Comput
Stat Data Anal 52:258): halves part populations in another order, so that at any one number some that all of them find
are missing. As many clusters are borne as found branches can be taken at once: a cluster too many parts a population
where no half parts it, and neither part is found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.node_groups import Nodes, agreed_nodes

Array = NDArray[np.float64]
Labels = NDArray[np.int32]

MOST_NUMBERS = 40  # clusters up to which numbers are tried: more than panels of 40 markers are gated for (judgement)
HALVES = 10  # maps of halves that vote on joins: with 5 the index with labels varied by seed by .01 more (judgement)
# events that halves are drawn from, at most: more changed the agreement of halves by less than .015, its error with
# five halves (2026-11-26)
_EVENTS = 40_000
# Jaccard index from which a cluster is a valid, stable one (Hennig's clusterboot, R package fpc)
FOUND_AGAIN = 0.75


@dataclass(frozen=True)
class HalfMap:
    """A map of a part of the events: its nodes, and the nearest of them to each event that maps are compared on."""

    nodes: Nodes
    own: Labels

    def shared_with(self, other: HalfMap, n: int) -> Array:
        """Return the events that each node shares with each of n groups of another map's nodes.

        Parameters
        ----------
        other
            Map of other events, seen on the same ones.
        n
            How many groups.
        """
        groups = other.nodes.groups(n)
        return _shared(self.own, groups[other.own], len(self.nodes.size), int(groups.max()) + 1)


@dataclass(frozen=True)
class ClusterNumber:
    """How many clusters the events bear, with the evidence.

    Attributes
    ----------
    borne
        The number; 1 where no two clusters are found again.
    agreement
        Mean adjusted Rand index by number of clusters, as far as it was tried: of two halves, or of a half with all
        events where that is less.
    found_again
        Clusters that halves find again, none within another, of the tree cut into at most so many, by number.
    """

    borne: int
    agreement: dict[int, float]
    found_again: dict[int, int]

    def in_words(self, asked: int | None = None, made: int = 0) -> str:
        """Return the evidence as a sentence.

        Parameters
        ----------
        asked
            The number asked for, None where none was.
        made
            How many clusters there are then.
        """
        fewer = f", the map finds no more than {made}" if asked and made < asked else ""
        return f"{asked} asked for{fewer}; without a number: {self._borne()}" if asked else self._borne()

    def _borne(self) -> str:
        if not self.agreement:
            return "one cluster: the events are too few or too alike to compare halves of them"
        least = f"mean Jaccard index of at least {FOUND_AGAIN}"
        if self.borne < 2:
            return f"one cluster: halves of the events find no two clusters again ({least})"
        return (
            f"{self.borne} clusters, as many as halves of the events find again, none within another ({least}; "
            f"up to {max(self.found_again)} tried)"
        )


def half_rows(n: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Return the rows of each half of the events, drawn from at most 40,000 of them.

    Parameters
    ----------
    n
        Number of events.
    rng
        Of the draws.
    """
    drawn = np.sort(rng.choice(n, min(n, _EVENTS), replace=False))
    return [np.sort(rng.choice(drawn, max(len(drawn) // 2, 1), replace=False)) for _ in range(HALVES)]


def cluster_number(halves: Sequence[HalfMap], whole: HalfMap) -> ClusterNumber:
    """Return how many clusters maps of halves find again.

    Parameters
    ----------
    halves
        At least two maps, seen on the same events.
    whole
        The map of all events.
    """
    maps = [whole, *halves]
    most = min(MOST_NUMBERS, *(len(one.nodes.size) for one in maps))
    agreement: dict[int, float] = {}
    pairs = {
        (a, b): _shared(maps[a].own, maps[b].own, len(maps[a].nodes.size), len(maps[b].nodes.size))
        for a, b in combinations(range(len(maps)), 2)
    }
    together: list[Array] = []
    for n in range(2, most + 1):
        groups = [one.nodes.groups(n) for one in maps]
        tables = {(a, b): _grouped(_grouped(shared, groups[a]).T, groups[b]).T for (a, b), shared in pairs.items()}
        indices = {pair: rand_index(table) for pair, table in tables.items()}
        of_whole, of_halves = ([index for (a, _), index in indices.items() if (a == 0) is one] for one in (True, False))
        agreement[n] = min(float(np.mean(of_whole)), float(np.mean(of_halves)))
        together += [_grouped(pairs[0, b].T, groups[b]).T for b in range(1, len(maps))]
    if not together:
        return ClusterNumber(1, {}, {})
    tree = agreed_nodes(together, whole.nodes.size)
    again = np.mean([_likest(tree, half.nodes, pairs[0, b]) for b, half in enumerate(halves, start=1)], axis=0)
    found_again = _at_once(tree, again >= FOUND_AGAIN, most)
    return ClusterNumber(max(found_again.values()), agreement, found_again)


def _likest(tree: Nodes, other: Nodes, shared: Array) -> Array:
    """Return for each branch of a tree its Jaccard index with the likest branch of another."""
    (mine, _), (others, _) = tree.branches(), other.branches()
    both = mine.astype(np.float64) @ shared @ others.T.astype(np.float64)
    own, theirs = mine @ shared.sum(axis=1), others @ shared.sum(axis=0)
    return np.asarray((both / np.maximum(own[:, None] + theirs - both, 1.0)).max(axis=1))


def _at_once(tree: Nodes, found: NDArray[np.bool_], most: int) -> dict[int, int]:
    """Return how many found branches, none within another, are in the tree cut into at most n, for each n."""
    _, parts = tree.branches()
    k, at_once = len(tree.size), {}
    for n in range(2, most + 1):
        joined = range(2 * k - n, 2 * k - 1)  # joins that a cut into n parts undoes
        best = found.astype(np.int64)
        for branch in joined:
            best[branch] = max(best[branch], best[parts[branch]].sum())
        at_once[n] = max(int(best[-1]), 1)
    return at_once


def kept_together(groups: NDArray[np.integer], shared: Sequence[Array]) -> Array:
    """Return for each cluster the share of its pairs of events that maps of halves keep together, 0 to 1.

    Parameters
    ----------
    groups
        Cluster of each node.
    shared
        For each half the events that each node shares with each of its groups, nodes x groups.
    """
    found = [_grouped(table, groups.astype(np.intp)) for table in shared]
    return np.mean([(one**2).sum(axis=1) / one.sum(axis=1) ** 2 for one in found], axis=0)


def rand_index(shared: Array) -> float:
    """Return the adjusted Rand index of a table of shared events (Hubert and Arabie 1985, J Classif 2:193).

    Parameters
    ----------
    shared
        Events that each cluster of one clustering shares with each of another.
    """

    def pairs(counts: Array) -> float:
        return float((counts * (counts - 1.0)).sum() / 2.0)

    both, first, second = pairs(shared), pairs(shared.sum(axis=1)), pairs(shared.sum(axis=0))
    chance = first * second / max(pairs(shared.sum(keepdims=True)), 1.0)
    most = (first + second) / 2.0
    return 1.0 if most == chance else (both - chance) / (most - chance)


def _shared(a: NDArray[np.integer], b: NDArray[np.integer], n_a: int, n_b: int) -> Array:
    return np.bincount(a.astype(np.intp) * n_b + b, minlength=n_a * n_b).reshape(n_a, n_b).astype(np.float64)


def _grouped(table: Array, groups: NDArray[np.intp]) -> Array:
    total = np.zeros((int(groups.max()) + 1, table.shape[1]))
    np.add.at(total, groups, table)
    return total
