"""Two cells in one droplet: cells that look like sums of two others.

The method of Scrublet (Wolock et al. 2019, Cell Syst 8:281): doublets are simulated by adding pairs of
cells, and a cell is suspect when its neighbours are mostly simulated.
"""
# Genes are chosen by their excess variance over counting. scanpy.pp.scrublet finds fewer doublets: with 6 % of cells
# replaced by sums of two (Zheng's sorted cells, Kang's, Mimitou's) the area under the curve is 0.97, 0.96 and 0.90 here
# against 0.90, 0.85 and 0.79 there; its log_transform, n_prin_comps and normalize_variance did not close the gap.

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.principal_axes import principal_axes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Probability above which a cell fails. On the cells named above 0.4 finds 38, 23 and 20 % of the planted doublets and
# loses 0.1, 0.2 and 0.6 % of the others; 0.6 would find 2, 3 and 0 %.
DOUBLET_LIMIT = 0.4
FEWEST_SCORED = 200  # of a sample: fewer do not show which kinds of cells a sum is made of
_FEWEST_GENES = 500  # in a targeted panel of fewer a sum of two kinds looks like a third kind
MOST_OF_A_RUN = 20_000  # cells: one droplet run holds no more, so that a larger sample is several runs
# Cells that doublets are simulated from and neighbours are looked for among: time grows with the square of all. With
# 1,500 of Zheng's 3,874 cells the area under the curve is 0.962 for 0.969.
_REFERENCE = 5_000
_EXPECTED = 0.06  # doublets expected: those of about 8,000 cells, 0.8 % for each thousand loaded (10x Genomics)
_SIMULATED = 2  # simulated doublets for each cell, Scrublet's default
_GENES = 1000  # most variable genes; Scrublet's top 15 % of about 7,000 expressed ones
_COMPONENTS = 20  # between 10 and 30 the area under the curve changes by 0.03 at most
_LEAST_MEAN = 0.01  # counts a cell: rarer genes only add noise
_TARGET = 1e4  # counts a cell after scaling
_ROWS = 1_000  # cells at a time: memory stays flat
_AT_ONCE = 64  # cells whose nearness to 15,000 points stays in the processor's cache
# points that a first border is read from, and sd of a Poisson count that it is further: in one of a hundred thousand
# cells too few points are within it, and all are measured
_EVERY, _MARGIN = 16, 4.0


def doublet_scores(counts: csr_matrix, sample_ids: NDArray[np.object_]) -> NDArray[np.float64] | None:
    """Return the probability of being a doublet for each cell, sample by sample.

    Parameters
    ----------
    counts
        Raw counts, cells x genes.
    sample_ids
        Sample of each cell. A sample of under 200 cells is not scored: its cells get 0. In one of over 5,000, doublets
        are simulated from 5,000 drawn cells, and each cell's neighbours are looked for among these and the doublets.

    Returns
    -------
    array or None
        One value a cell, or None with fewer than 500 genes.

    Notes
    -----
    The pairs that are added are the same in every call: which cells fail decides what all later borders rest on.
    """
    if counts.shape[1] < _FEWEST_GENES:
        return None
    scores = np.zeros(counts.shape[0])
    for number, sample in enumerate(dict.fromkeys(sample_ids)):
        own = np.flatnonzero(sample_ids == sample)
        if len(own) >= FEWEST_SCORED:
            scores[own] = _scores(counts, own, np.random.default_rng([0, number]))
    return scores


def _scores(counts: csr_matrix, own: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    from scipy.sparse import vstack

    known = own if len(own) <= _REFERENCE else np.sort(rng.choice(own, _REFERENCE, replace=False))
    some = counts[known]
    n = len(known)
    pairs = rng.integers(0, n, (2, _SIMULATED * n))
    genes = _variable(some)
    both = _logged(vstack([some, some[pairs[0]] + some[pairs[1]]]).tocsr(), genes)
    axes = principal_axes(both[:n], min(_COMPONENTS, len(genes) - 1, n - 1))
    points = axes.transform(both)
    k = (1 + _SIMULATED) * max(10, round(0.5 * np.sqrt(n)))  # Scrublet's default
    share = np.empty(len(own))
    for start in range(0, len(own), _ROWS):
        rows = slice(start, start + _ROWS)
        # a cell that is among those compared with is its own nearest neighbour, and no simulated one
        wanted = np.where(np.isin(own[rows], known), k + 1, k)
        simulated = _simulated_among(axes.transform(_logged(counts[own[rows]], genes)), points, n, wanted)
        share[rows] = (simulated + 1) / (k + 2)
    return _probability(share)


def _simulated_among(
    placed: NDArray[np.float64], points: NDArray[np.float64], n_real: int, k: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many of the k nearest points of each placed cell are simulated ones.

    A first look in single precision, and a border from every sixteenth point that leaves some k and half of it again,
    say which points are measured exactly: a fiftieth of them.
    """
    from immunolab.clustering._neighbour_share import simulated_among_nearest

    # what all points lack is one more dimension of the product, not another pass over it
    half = (points**2).sum(axis=1) / 2
    others = np.column_stack([points, -half]).astype(np.float32)
    own = np.column_stack([placed, np.ones(len(placed))]).astype(np.float32)
    few = own @ np.ascontiguousarray(others[::_EVERY]).T
    expected = k.max() / _EVERY
    rank = min(int(expected + _MARGIN * np.sqrt(expected)) + 1, few.shape[1])
    least = np.partition(few, -rank, axis=1)[:, -rank]
    found = []
    for start in range(0, len(placed), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        found.append(simulated_among_nearest(placed[rows], points, n_real, k[rows], own[rows] @ others.T, least[rows]))
    return np.concatenate(found)


def _probability(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Scrublet's posterior probability from the share of simulated neighbours."""
    expected = _EXPECTED / _SIMULATED
    return np.asarray(share * expected / ((1 - _EXPECTED) - share * ((1 - _EXPECTED) - expected)))


def _variable(counts: csr_matrix) -> NDArray[np.int64]:
    mean = np.asarray(counts.mean(axis=0)).ravel()
    square = np.bincount(counts.indices, counts.data.astype(np.float64) ** 2, counts.shape[1]) / counts.shape[0]
    excess = np.divide(square - mean**2, mean, out=np.zeros_like(mean, dtype=np.float64), where=mean > _LEAST_MEAN)
    return np.sort(np.argsort(-excess, kind="stable")[:_GENES])


def _logged(counts: csr_matrix, genes: NDArray[np.int64]) -> csr_matrix:
    total = np.maximum(np.asarray(counts.sum(axis=1), dtype=np.float64).ravel(), 1.0)
    some = counts[:, genes].astype(np.float64)
    some.data *= np.repeat(_TARGET / total, np.diff(some.indptr))
    np.log1p(some.data, out=some.data)
    return some
