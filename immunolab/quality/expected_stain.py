"""What a stain should read on each cell by its other channels: a regression tree grown over the tubes of a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immunolab.compiled import compiled
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
        result = np.empty(len(events))
        _descend(self.feature, self.cut, self.left, self.right, self.mean, events, result)
        return result


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
        Events x channels, number of the bin.
    """

    events: Array
    cuts: Array
    bins: NDArray[np.uint8]

    @classmethod
    def of(cls, events: Array) -> BinnedEvents:
        """Cut each channel into bins of equally many events."""
        columns = np.ascontiguousarray(events.T)
        shares = [float(share) for share in np.arange(1, _BINS) / _BINS]
        cuts = np.array([quantiles(ordered, shares) for ordered in np.sort(columns, axis=1)])
        bins = np.empty(events.shape, dtype=np.uint8)
        _bin(columns, cuts, bins)
        return cls(events, cuts.T, bins)

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
            low = self.bins[rows, j] <= k
            left = self._add(nodes, stain, rows[low], depth + 1)
            right = self._add(nodes, stain, rows[~low], depth + 1)
            nodes[number] = (j, float(self.cuts[k, j]), left, right, mean)
        return number

    def _best_cut(self, stain: int, rows: NDArray[np.intp], centred: Array) -> tuple[int, int] | None:
        """Return channel and bin of the cut that takes off most variance; None where none does."""
        n, d = len(rows), self.bins.shape[1]
        count, total = np.zeros((d, _BINS), dtype=np.intp), np.zeros((d, _BINS))
        _sums(self.bins, rows, centred, count, total)
        count, total = count.cumsum(axis=1)[:, :-1], total.cumsum(axis=1)[:, :-1]
        allowed = (count >= _FEWEST) & (n - count >= _FEWEST)
        allowed[stain] = False
        if not allowed.any():
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(allowed, total**2 / count + total**2 / (n - count), -1.0)
        j, k = np.unravel_index(int(np.argmax(gain)), gain.shape)
        return (int(j), int(k)) if gain[j, k] > 0 else None


@compiled
def _bin(columns: Any, cuts: Any, bins: Any) -> None:
    """Give each event of each channel the number of cuts below it."""
    for j in range(columns.shape[0]):
        for i in range(columns.shape[1]):
            below = 0
            for k in range(cuts.shape[1]):
                below += cuts[j, k] < columns[j, i]
            bins[i, j] = below


@compiled
def _sums(bins: Any, rows: Any, values: Any, count: Any, total: Any) -> None:
    """Add to each channel's bins how many of the events are in them, and the sum of their values."""
    for place in range(rows.shape[0]):
        row, value = rows[place], values[place]
        for j in range(bins.shape[1]):
            count[j, bins[row, j]] += 1
            total[j, bins[row, j]] += value


@compiled
def _descend(feature: Any, cut: Any, left: Any, right: Any, mean: Any, events: Any, result: Any) -> None:
    """Follow each event to its leaf."""
    for i in range(events.shape[0]):
        at = 0
        while feature[at] >= 0:
            at = left[at] if events[i, feature[at]] <= cut[at] else right[at]
        result[i] = mean[at]
