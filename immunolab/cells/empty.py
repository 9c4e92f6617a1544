"""Empty droplets among cells: those of few counts that show the genes of the sample's average, as the suspension does.

How far a droplet's genes are from the average (Pearson's chi-square over its counts, less what a draw of so many counts
has) is a matter of its kind, and hardly of its counts. Of the deciles by counts of four published and simulated sets,
each sample and bead sort by itself, none is nearer than a quarter of what the better half has, and those of few counts
are not nearer than three fifths; droplets of the suspension alone are at 0 (EmptyDrops asks the same of each droplet,
Lun et al. 2019, Genome Biol 20:63, which 300 counts of a resting T cell do not answer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_FEWEST_CELLS = 200  # of a sample: fewer do not show what its average is
_BINS, _A_BIN = 20, 50  # groups of like counts, at most, and fewest droplets of one
_COMMON = 1e-3  # share of all counts from which a gene is looked at by itself; the others are one
_CELLS = 0.25  # of how far the better half is: a group that is surely further is of cells, and
_EMPTY = 0.15  # groups from the fewest counts on are empty droplets if together they are surely nearer than this
_SURE = 2.0  # standard errors


def empty_borders(counts: csr_matrix, sample_ids: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return for each cell the counts below which droplets of its sample are empty ones; 0 where none are seen.

    Parameters
    ----------
    counts
        Raw counts, cells x genes.
    sample_ids
        Sample of each cell.
    """
    borders = np.zeros(counts.shape[0])
    for sample in dict.fromkeys(sample_ids):
        own = np.flatnonzero(sample_ids == sample)
        if len(own) >= _FEWEST_CELLS:
            borders[own] = _border(*_beyond_average(counts[own]))
    return borders


def _beyond_average(counts: csr_matrix) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return of each droplet its chi-square against the average less what is expected, its variance, and its counts."""
    total = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    share = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel() / max(total.sum(), 1.0)
    common = np.flatnonzero(share >= _COMMON)
    if not len(common):
        return np.zeros(len(total)), np.ones(len(total)), total
    some = counts[:, common].astype(np.float64)
    rest = np.maximum(total - np.asarray(some.sum(axis=1)).ravel(), 0.0)
    left = max(1.0 - float(share[common].sum()), _COMMON)
    some.data = some.data**2
    n, k = np.maximum(total, 1.0), len(common) + 1
    chi = (np.asarray(some @ (1.0 / share[common])).ravel() + rest**2 / left) / n - n
    inverse = float((1.0 / share[common]).sum() + 1.0 / left)
    return chi - (k - 1.0), 2.0 * (k - 1.0) + np.maximum(inverse - k**2 - 2.0 * k + 2.0, 0.0) / n, total


def _border(beyond: NDArray[np.float64], variance: NDArray[np.float64], total: NDArray[np.float64]) -> float:
    """Return the counts of the first group, from the lowest on, that is none of empty droplets; 0 for the first."""
    groups = np.array_split(np.argsort(total, kind="stable"), min(_BINS, len(total) // _A_BIN))
    sums, over, error = (np.array([values[group].sum() for group in groups]) for values in (total, beyond, variance))
    better = float(np.median((over / np.maximum(sums, 1.0))[len(groups) // 2 :]))
    near = over < _CELLS * better * sums + _SURE * np.sqrt(error)
    so_far = np.cumsum(over) + _SURE * np.sqrt(np.cumsum(error)) < _EMPTY * better * np.cumsum(sums)
    empty = np.flatnonzero(np.logical_and.accumulate(near) & so_far)
    last = int(empty[-1]) + 1 if len(empty) else 0
    return float(total[groups[last]].min()) if 0 < last < len(groups) else 0.0
