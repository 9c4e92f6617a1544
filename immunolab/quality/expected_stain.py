"""What a stain should read on each cell by its other channels: a regression tree grown over the tubes of a panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BINS = 24  # of each channel: finer cuts do not part cells better than stains are spread (judgement)
_DEPTH = 6  # levels: 64 leaves at most, enough for a lineage and its memory (judgement)
_FEWEST = 60  # events of a leaf: its mean is then known to a seventh of its spread (judgement)


@dataclass(frozen=True)
class StainTree:
    """A tree that was grown.

    Attributes
    ----------
    feature, cut
        Of each node; feature -1 is a leaf. Events at or below the cut go left.
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

    def expected(self, others: Array) -> Array:
        """Return the stain that each event should have.

        Parameters
        ----------
        others
            Events x channels, in the order the tree was grown with.
        """
        at = np.zeros(len(others), dtype=np.intp)
        for _ in range(_DEPTH):
            feature = self.feature[at]
            inner = np.flatnonzero(feature >= 0)
            low = others[inner, feature[inner]] <= self.cut[at[inner]]
            at[inner] = np.where(low, self.left[at[inner]], self.right[at[inner]])
        return self.mean[at]


def grow(others: Array, stain: Array) -> StainTree:
    """Return a tree for the stain, each cut taking off most of its variance.

    Parameters
    ----------
    others
        Events x channels.
    stain
        ``(events,)``.
    """
    cuts = np.quantile(others, np.arange(1, _BINS) / _BINS, axis=0)
    binned = np.stack([np.searchsorted(cuts[:, j], others[:, j]) for j in range(others.shape[1])], axis=1)
    nodes: list[tuple[int, float, int, int, float]] = []
    _add(nodes, binned, cuts, stain, np.arange(len(stain)), 0)
    feature, cut, left, right, mean = zip(*nodes, strict=True)
    return StainTree(np.array(feature), np.array(cut), np.array(left), np.array(right), np.array(mean))


def _add(
    nodes: list[tuple[int, float, int, int, float]],
    binned: NDArray[np.intp],
    cuts: Array,
    stain: Array,
    rows: NDArray[np.intp],
    depth: int,
) -> int:
    """Append the node of these events and all below it; return its number."""
    number, mean = len(nodes), float(stain[rows].mean())
    nodes.append((-1, 0.0, -1, -1, mean))
    found = _best_cut(binned[rows], stain[rows]) if depth < _DEPTH and len(rows) >= 2 * _FEWEST else None
    if found is not None:
        j, k = found
        low = binned[rows, j] <= k
        left = _add(nodes, binned, cuts, stain, rows[low], depth + 1)
        right = _add(nodes, binned, cuts, stain, rows[~low], depth + 1)
        nodes[number] = (j, float(cuts[k, j]), left, right, mean)
    return number


def _best_cut(binned: NDArray[np.intp], stain: Array) -> tuple[int, int] | None:
    """Return channel and bin of the cut that takes off most variance; None where none does."""
    n, d = binned.shape
    flat = (binned + _BINS * np.arange(d)).ravel()
    count = np.bincount(flat, minlength=d * _BINS).reshape(d, _BINS).cumsum(axis=1)[:, :-1]
    total = np.bincount(flat, np.repeat(stain - stain.mean(), d), minlength=d * _BINS)
    total = total.reshape(d, _BINS).cumsum(axis=1)[:, :-1]
    allowed = (count >= _FEWEST) & (n - count >= _FEWEST)
    if not allowed.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(allowed, total**2 / count + total**2 / (n - count), -1.0)
    j, k = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return (int(j), int(k)) if gain[j, k] > 0 else None
