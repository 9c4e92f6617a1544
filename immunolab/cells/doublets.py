"""Two cells in one droplet: cells that look like sums of two others.

The method of Scrublet (Wolock et al. 2019, Cell Syst 8:281): doublets are simulated by adding pairs of
cells, and a cell is suspect when its neighbours are mostly simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.sparse_pca import principal_axes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DOUBLET_LIMIT = 0.6
_FEWEST_CELLS = 200
_FEWEST_GENES = 500
_MOST_CELLS = 20_000
_EXPECTED = 0.06
_GENES = 1000
_COMPONENTS = 20


def doublet_scores(counts: csr_matrix, sample_ids: NDArray[np.object_], seed: int = 0) -> NDArray[np.float64] | None:
    """Return the probability of being a doublet for each cell, sample by sample.

    None where genes are too few to tell. A sample of under 200 or over 20,000 cells is not scored: its
    cells get 0.
    """
    if counts.shape[1] < _FEWEST_GENES:
        return None
    scores = np.zeros(counts.shape[0])
    for number, sample in enumerate(dict.fromkeys(sample_ids)):
        own = np.flatnonzero(sample_ids == sample)
        if _FEWEST_CELLS <= len(own) <= _MOST_CELLS:
            scores[own] = _scores(counts[own], np.random.default_rng([seed, number]))
    return scores


def _scores(counts: csr_matrix, rng: np.random.Generator) -> NDArray[np.float64]:
    from scipy.sparse import vstack
    from sklearn.neighbors import NearestNeighbors

    n = counts.shape[0]
    pairs = rng.integers(0, n, (2, 2 * n))
    simulated = counts[pairs[0]] + counts[pairs[1]]
    genes = _variable(counts)
    both = _logged(vstack([counts, simulated]).tocsr(), genes)
    axes, centre = principal_axes(both[:n], min(_COMPONENTS, len(genes), n - 1), rng)
    points = both @ axes - centre @ axes
    k = max(10, round(0.5 * np.sqrt(n)))
    around = round(k * 3)
    near = (
        NearestNeighbors(n_neighbors=around + 1, algorithm="brute")
        .fit(points)
        .kneighbors(points[:n], return_distance=False)[:, 1:]
    )
    share = ((near >= n).sum(axis=1) + 1) / (around + 2)
    ratio = 2.0  # simulated cells for each observed one
    return np.asarray(share * _EXPECTED / ratio / ((1 - _EXPECTED) - share * ((1 - _EXPECTED) - _EXPECTED / ratio)))


def _variable(counts: csr_matrix) -> NDArray[np.int64]:
    mean = np.asarray(counts.mean(axis=0)).ravel()
    square = np.asarray(counts.multiply(counts).mean(axis=0)).ravel()
    excess = np.divide(square - mean**2, mean, out=np.zeros_like(mean, dtype=np.float64), where=mean > 0.01)
    return np.sort(np.argsort(-excess, kind="stable")[:_GENES])


def _logged(counts: csr_matrix, genes: NDArray[np.int64]) -> csr_matrix:
    from scipy.sparse import diags

    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0)
    some = (diags(1e4 / total) @ counts[:, genes]).tocsr().astype(np.float64)
    np.log1p(some.data, out=some.data)
    return some
