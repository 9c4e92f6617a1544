"""What a stain should read on each cell by its other channels: a regression tree grown over the tubes of a panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.order_statistics import quantiles

Array = NDArray[np.float64]

_BINS = 24  # of each channel: finer cuts do not part cells better than stains are spread (judgement)
_DEPTH = 6  # levels: 64 leaves at most, enough for a lineage and its memory (judgement)
_FEWEST = 60  # events of a leaf: its mean is then known to a seventh of its spread (judgement)

_Nodes = list[tuple[int, float, int, int, float]]  # as the fields of a tree


@dataclass(frozen=True)
class StainTree:
    """A tree that was grown.

    Attributes
    ----------
    feature, cut
        Of each node: channel, and the value at or below which events go left; channel -1 is a leaf.
    left, right
        Number of the node that follows.
    mean
        Of the stain in the node.
    """

    feature: NDArray[np.intp]
    cut: Array
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    mean: Array

    def expected(self, events: Array) -> Array:
        """Return the stain that each event should have.

        Parameters
        ----------
        events
            Events x channels, as the tree was grown with; the stain's own channel is not looked at.
        """
        at, rows = np.zeros(len(events), dtype=np.intp), np.arange(len(events))
        while len(rows := rows[self.feature[at[rows]] >= 0]):
            node = at[rows]
            low = events[rows, self.feature[node]] <= self.cut[node]
            at[rows] = np.where(low, self.left[node], self.right[node])
        return self.mean[at]


@dataclass(frozen=True)
class BinnedEvents:
    """Events of a panel whose channels are cut into bins once, for the trees of all stains.

    Attributes
    ----------
    events
        Events x channels.
    cuts
        ``(bins - 1, channels)``, upper ends of the bins.
    bins
        Events x channels, number of the bin among those of all channels: 24 a channel.
    """

    events: Array
    cuts: Array
    bins: NDArray[np.intp]

    @classmethod
    def of(cls, events: Array) -> BinnedEvents:
        """Cut each channel into bins of equally many events."""
        columns = np.ascontiguousarray(events.T)
        shares = [float(share) for share in np.arange(1, _BINS) / _BINS]
        cuts = np.array([quantiles(ordered, shares) for ordered in np.sort(columns, axis=1)])
        below = [np.searchsorted(ends, column) for ends, column in zip(cuts, columns, strict=True)]
        offset = _BINS * np.arange(len(columns))[:, None]
        return cls(events, cuts.T, np.ascontiguousarray((np.array(below) + offset).T))

    def grow(self, stain: int) -> StainTree:
        """Return a tree for a channel by all others, each cut taking off most of its variance.

        Parameters
        ----------
        stain
            Number of the channel.
        """
        nodes: _Nodes = []
        self._add(nodes, stain, np.arange(len(self.events)), 0)
        feature, cut, left, right, mean = zip(*nodes, strict=True)
        return StainTree(np.array(feature), np.array(cut), np.array(left), np.array(right), np.array(mean))

    def _add(self, nodes: _Nodes, stain: int, rows: NDArray[np.intp], depth: int) -> int:
        """Append the node of these events and all below it; return its number."""
        own = self.events[rows, stain]
        number, mean = len(nodes), float(own.mean())
        nodes.append((-1, 0.0, -1, -1, mean))
        found = self._best_cut(stain, rows, own - mean) if depth < _DEPTH and len(rows) >= 2 * _FEWEST else None
        if found is not None:
            j, k = found
            low = self.bins[rows, j] <= k + _BINS * j
            left = self._add(nodes, stain, rows[low], depth + 1)
            right = self._add(nodes, stain, rows[~low], depth + 1)
            nodes[number] = (j, float(self.cuts[k, j]), left, right, mean)
        return number

    def _best_cut(self, stain: int, rows: NDArray[np.intp], centred: Array) -> tuple[int, int] | None:
        """Return channel and bin of the cut that takes off most variance; None where none does."""
        n, d = len(rows), self.bins.shape[1]
        places = self.bins[rows].ravel()
        count = np.bincount(places, minlength=d * _BINS).reshape(d, _BINS).cumsum(axis=1)[:, :-1]
        total = np.bincount(places, np.repeat(centred, d), d * _BINS).reshape(d, _BINS).cumsum(axis=1)[:, :-1]
        allowed = (count >= _FEWEST) & (n - count >= _FEWEST)
        allowed[stain] = False
        if not allowed.any():
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(allowed, total**2 / count + total**2 / (n - count), -1.0)
        j, k = np.unravel_index(int(np.argmax(gain)), gain.shape)
        return (int(j), int(k)) if gain[j, k] > 0 else None
