"""How many clusters the events bear: as many as maps of other halves of the events find again, none within another.

The nodes of a map are joined to a tree as the other maps have them together, at all numbers of clusters. A branch of it
is found again where the others have one like it, at whatever number (mean Jaccard index, Hennig 2007, Comput Stat Data
Anal 52:258): maps part populations in another order, so that at any one number some that all of them find are missing.
As many clusters are found again as such branches can be taken at once: a cluster too many parts a population where no
map parts it, and neither part is found again. One map's count follows its chance; the median of all of them is taken,
and how far they differ says how far the events determine it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.node_groups import Nodes, joined_by_chance, shares_of_nodes

Array = NDArray[np.float64]
Labels = NDArray[np.int32]

MOST_NUMBERS = 40  # clusters up to which numbers are tried: more than panels of 40 markers are gated for (judgement)
HALVES = 10  # maps of halves that vote on joins: with 5 the index with labels varied by seed by .01 more (judgement)
# events that halves are drawn from, at most: more changed the agreement of halves by less than .015, its error with
# five halves (2026-11-26)
_EVENTS = 40_000
# adjusted Rand index of halves from which they are said to find clusters at all: judgement, noise of 2 and 3 dimensions
# has .40 at most, 500 cells of 70 dimensions .48, and tubes .77 and more (2026-11-27)
_LEAST_AGREEMENT = 0.4
# maps at either end whose counts are left out of the range that is said: 9 of 11 are within it (judgement)
_ENDS = 1
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
        Clusters of a map that the others find again, none within another, of its tree cut into at most so many, by
        number; median of the maps.
    between
        The same of the second lowest and the second highest of the maps, by number.
    """

    borne: int
    agreement: dict[int, float]
    found_again: dict[int, int]
    between: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def likely(self) -> tuple[int, int]:
        """The numbers that all maps but one at either end find."""
        return self.between[max(self.between)] if self.between else (self.borne, self.borne)

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
        most = max(self.found_again.values())
        if self.borne < 2 <= most and self.agreement[most] < _LEAST_AGREEMENT:
            few = f"adjusted Rand index {self.agreement[most]:.2f}, {_LEAST_AGREEMENT} is asked"
            return f"one cluster: halves of the events find {most} again, but agree on few events ({few})"
        if self.borne < 2 <= most:
            return f"one cluster: halves of the events find {most} again, but one normal group is as likely ({least})"
        if self.borne < 2:
            return f"one cluster: halves of the events find no two clusters again ({least})"
        low, high = self.likely
        differ = f"{HALVES + 1 - 2 * _ENDS} of {HALVES + 1} maps find {f'{low} to {high}' if low < high else 'so many'}"
        return (
            f"{self.borne} clusters, as many as halves of the events find again, none within another ({least}; "
            f"{differ}; up to {max(self.found_again)} tried)"
        )


def half_rows(n: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Return the rows of each half of the events, both of each draw, from at most 40,000 of them.

    Halves that leave no event out and hold none twice differ less by chance than halves drawn alone: the number varied
    by seed by half (four labelled sets, seeds 10 to 13).

    Parameters
    ----------
    n
        Number of events.
    rng
        Of the draws.
    """
    drawn = np.sort(rng.choice(n, min(n, _EVENTS), replace=False))
    parted = (np.array_split(rng.permutation(drawn), 2) for _ in range(HALVES // 2))
    return [np.sort(half if len(half) else drawn) for halves in parted for half in halves]


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
    if most < 2:
        return ClusterNumber(1, {}, {})
    pairs = {
        (a, b): _shared(maps[a].own, maps[b].own, len(maps[a].nodes.size), len(maps[b].nodes.size))
        for a, b in combinations(range(len(maps)), 2)
    }
    held = [one.nodes.branches()[0].astype(np.float64) for one in maps]
    times = [one.nodes.times_together(most) for one in maps]
    counts = np.empty((len(maps), most - 1), dtype=np.int64)
    for at, one in enumerate(maps):
        others = {b: pairs[at, b] if at < b else pairs[b, at].T for b in range(len(maps)) if b != at}
        tree = _agreed({b: times[b] for b in others}, others, one.nodes.size, most)
        mine, parts = tree.branches()
        likest = [_likest(mine.astype(np.float64), held[b], shared) for b, shared in others.items()]
        counts[at] = _at_once(parts, np.mean(likest, axis=0) >= FOUND_AGAIN, most)
    counts.sort(axis=0)
    low, middle, high = (counts[place].tolist() for place in (_ENDS, len(maps) // 2, len(maps) - 1 - _ENDS))
    numbers = range(2, most + 1)
    found_again = dict(zip(numbers, middle, strict=True))
    between = dict(zip(numbers, zip(low, high, strict=True), strict=True))
    agreement = _agreement(maps, pairs, most)
    borne = middle[-1] if agreement.get(middle[-1], 0.0) >= _LEAST_AGREEMENT else 1
    return ClusterNumber(borne, agreement, found_again, between)


def _agreement(maps: Sequence[HalfMap], pairs: dict[tuple[int, int], Array], most: int) -> dict[int, float]:
    """Return the mean index of two halves, or of a half with all events (the first map) if less, by number."""
    agreement = {}
    for n in range(2, most + 1):
        groups = [one.nodes.groups(n) for one in maps]
        indices = {
            (a, b): rand_index(_grouped(_grouped(shared, groups[a]).T, groups[b])) for (a, b), shared in pairs.items()
        }
        of_whole, of_halves = ([index for (a, _), index in indices.items() if (a == 0) is one] for one in (True, False))
        agreement[n] = min(float(np.mean(of_whole)), float(np.mean(of_halves)))
    return agreement


def _agreed(times: Mapping[int, Array], shared: Mapping[int, Array], size: NDArray[np.int64], most: int) -> Nodes:
    """Return the tree of a map's nodes on which other maps agree at all numbers; shared are its events with theirs."""
    shares = {b: shares_of_nodes(counts) for b, counts in shared.items()}
    together = np.mean([share @ times[b] @ share.T for b, share in shares.items()], axis=0)
    return joined_by_chance(together / (most - 1), size)


def _likest(mine: Array, others: Array, shared: Array) -> Array:
    """Return for each branch of a tree its Jaccard index with the likest branch of another; branches x nodes each."""
    both = mine @ shared @ others.T
    own, theirs = mine @ shared.sum(axis=1), others @ shared.sum(axis=0)
    return np.asarray((both / np.maximum(own[:, None] + theirs - both, 1.0)).max(axis=1))


def _at_once(parts: NDArray[np.int64], found: NDArray[np.bool_], most: int) -> list[int]:
    """Return how many found branches, none within another, are in a tree cut into at most n, for each n from 2."""
    last, at_once = len(parts) - 1, []
    for n in range(2, most + 1):
        best = found.astype(np.int64)
        for branch in range(last - n + 2, last + 1):  # joins that a cut into n parts undoes
            best[branch] = max(best[branch], best[parts[branch]].sum())
        at_once.append(max(int(best[-1]), 1))
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
    held = np.arange(int(groups.max()) + 1)[:, None] == groups
    return np.asarray(held.astype(np.float64) @ table)
