"""How many clusters the events bear: the most that maps of other halves of the events find alike.

A number that splits a population in two splits it elsewhere in every half, so that the agreement of halves falls at the
first number too many (stability, Ben-Hur, Elisseeff and Guyon 2002, Pac Symp Biocomput 7:6). A few clusters of clear
lineages agree best of all and say little, so not the best number counts but the last peak that is nearly as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.node_tree import NodeTree

Array = NDArray[np.float64]
Labels = NDArray[np.int32]

MOST_NUMBERS = 40  # clusters up to which numbers are tried: more than panels of 40 markers are gated for (judgement)
HALVES = 5  # maps of halves, ten pairs: the standard error of an agreement is then about 0.015 (judgement)
_EVENTS = 40_000  # halves are of at most so many events; more changed the agreement by less than that (2026-11-26)
_COMPARED = 10_000  # events that two maps are compared on
# agreement above which clusters are highly stable (Hennig 2008, J Multivar Anal 99:1154, for Jaccard's index)
_LEAST_AGREEMENT = 0.85
USUAL_NUMBER = 10  # clusters that are usual, where more are not clear (FlowSOM's own default)
_STILL_ALIKE = 0.8  # agreement on that number at which it is taken: HIPC's T cells have .80 to .88 (judgement)
# by how much agreement may be below the best of so many clusters or more: lineages agree better than their subsets by
# up to 0.07 (kotliarov's proteins), and subsets among themselves by three standard errors (judgement, 2026-11-26)
_NEAR_BEST = {5: 0.08, 10: 0.04}


@dataclass(frozen=True)
class HalfMap:
    """A map of one half of the events: its tree, and the row of the nearest kept node of each compared event."""

    tree: NodeTree
    own: Labels


@dataclass(frozen=True)
class ClusterNumber:
    """How many clusters the events bear, with the evidence.

    Attributes
    ----------
    borne
        The number; 1 where no two halves agree on any.
    agreement
        Mean adjusted Rand index by number of clusters, as far as it was tried: of two halves, or of a half with all
        events where that is less.
    """

    borne: int
    agreement: dict[int, float]

    @property
    def least(self) -> float:
        """Agreement that is asked of a number: 0.85, and not far below the best."""
        best = {
            at_least: max((index for n, index in self.agreement.items() if n >= at_least), default=0.0)
            for at_least in _NEAR_BEST
        }
        return max(_LEAST_AGREEMENT, *(best[n] - below for n, below in _NEAR_BEST.items()))

    @property
    def taken(self) -> int:
        """The number taken where none is given: the one borne, or ten where that is less and halves still agree on ten.

        Markers without valleys, as CCR7 and CD45RA of T cells, agree on few numbers to 0.85, and on which is chance.
        """
        few = self.borne < USUAL_NUMBER and self.agreement.get(USUAL_NUMBER, 0.0) >= _STILL_ALIKE
        return USUAL_NUMBER if few else self.borne

    def in_words(self) -> str:
        """Return the evidence as a sentence."""
        if self.taken != self.borne:
            return (
                f"{self.taken} clusters, on which halves of the events agree to {self.agreement[self.taken]:.3f} "
                f"(adjusted Rand index); above {self.borne} none reaches the {self.least:.3f} of clear groups"
            )
        if self.borne not in self.agreement:
            return f"halves of the events agree on no number of clusters (adjusted Rand index {self.least:.3f} asked)"
        after = self.agreement.get(self.borne + 1)
        more = "" if after is None else f", {after:.3f} at {self.borne + 1}"
        return (
            f"{self.borne} clusters are the last that halves of the events find alike before they part: adjusted Rand "
            f"index {self.agreement[self.borne]:.3f}{more}; at least {self.least:.3f} asked"
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


def compared_rows(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the rows that maps are compared on.

    Parameters
    ----------
    n
        Number of events.
    rng
        Of the draw.
    """
    return np.sort(rng.choice(n, min(n, _COMPARED), replace=False))


def cluster_number(halves: Sequence[HalfMap], whole: HalfMap) -> ClusterNumber:
    """Return how many clusters maps of halves find alike, and the map of all events with them.

    Parameters
    ----------
    halves
        At least two maps, with the nodes of the same events.
    whole
        The map of all events.
    """
    maps = [whole, *halves]
    most = min(MOST_NUMBERS, *(len(one.tree.size) for one in maps))
    groups = [one.tree.groups_by_number(range(2, most + 1)) for one in maps]
    of_halves: dict[int, list[float]] = {n: [] for n in range(2, most + 1)}
    of_whole: dict[int, list[float]] = {n: [] for n in of_halves}
    for a, b in combinations(range(len(maps)), 2):
        shared = _shared(maps[a].own, maps[b].own, len(maps[a].tree.size), len(maps[b].tree.size))
        for n, indices in (of_halves if a else of_whole).items():
            indices.append(rand_index(_grouped(_grouped(shared, groups[a][n]).T, groups[b][n])))
    agreement = {n: min(float(np.mean(of_halves[n])), float(np.mean(of_whole[n]))) for n in of_halves}
    tried = ClusterNumber(1, agreement)
    alike = [n for n, index in agreement.items() if index >= tried.least]
    peaks = [n for n in alike if agreement[n] >= max(agreement.get(n - 1, 0.0), agreement.get(n + 1, 0.0))]
    return replace(tried, borne=max(peaks, default=1))


def kept_together(own: Labels, labels: Labels, halves: Sequence[HalfMap], borne: int) -> Array:
    """Return for each cluster the share of its pairs of events that maps of halves keep together, 0 to 1.

    Parameters
    ----------
    own
        Cluster of each compared event.
    labels
        Cluster of each node; how many there are.
    halves
        Maps of halves.
    borne
        How many clusters the events bear.
    """
    n = int(labels.max()) + 1
    size = np.bincount(own, minlength=n).astype(np.float64)
    kept = np.zeros(n)
    for half in halves:
        groups = half.tree.groups(n, borne)
        shared = _shared(own, groups[half.own], n, int(groups.max()) + 1)
        kept += np.divide((shared**2).sum(axis=1), size**2, out=np.full(n, np.nan), where=size > 0)
    return kept / len(halves)


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
