"""Scores of helper programmes, each cell's against random sets of genes that are expressed alike.

A signature of ten genes that few cells show is skewed: its tail looks like a subset. Sets of random genes of the same
expression have the same tail in the same cells, so that only what is beyond theirs is evidence of a programme.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from immunolab.cells.subsets import ABOVE_RANDOM, FALSE_HELPERS
from immunolab.clustering.expression import Array, Neighbours, smooth
from immunolab.events.cells import gene_columns
from immunolab.events.subsample import drawn_rows

if TYPE_CHECKING:
    from anndata import AnnData

Mask = NDArray[np.bool_]
_SETS = 200  # random sets: labels of other sets agree to .99 (zheng's CD4 sorts, simulated CITE-seq)
_HALF = _SETS // 2  # sets of one half of the genes alike, and of the other
_OWN_SPREAD = 0.5  # share of a cell's variance that is its own, the rest that of memory cells (judgement)
_STREAM = 0  # of the random sets: fixed, so that labels do not depend on a seed
_ALIKE = 50  # genes of nearest mean expression that a gene is replaced by (scanpy.tl.score_genes takes 50 as well)
_FEWEST_ALIKE = 20  # measured genes outside the signatures below which there is nothing to compare with (judgement)
_BLOCK = 50  # random sets at a time, all of one half: 80,000 cells x 50 are 32 MB
_TAIL_OF = 5_000  # cells that the tail of random sets is read from
_ENOUGH_MEMORY = 50  # cells that a background is read from; below it all CD4 T cells are taken
_SPREAD_FLOOR = 1e-6  # log units: cells whose random sets are all alike show none of their genes


@dataclass(frozen=True)
class _Sets:
    """Weights of genes, one column a random set, half of them of other genes; and their mean, off every score."""

    genes: NDArray[np.int64]
    weights: csc_matrix
    control: Array


def beyond_random(
    cells: AnnData, signatures: Mapping[str, Sequence[str]], neighbours: Neighbours, memory: Mask
) -> Mapping[str, Array]:
    """Return each cell's score of each signature, in units of random sets of genes.

    At `ABOVE_RANDOM` at most `FALSE_HELPERS` of the random sets in memory cells are as high, whatever the shape of the
    tail. A signature is missing where there are too few genes to compare with.

    The genes that a cell's spread is of are not those that the tail is of: a cell that shows next to none of the genes
    its sets are drawn from has a spread that is too small for any other gene. As such cells make the tail, half of a
    cell's variance is that of memory cells.

    Parameters
    ----------
    cells
        CD4 T cells under the storage contract, with genes.
    signatures
        Name -> symbols that were measured.
    neighbours
        Of the same cells: a score is half a cell's own and half theirs.
    memory
        Which cells are memory cells: their median is the background, of a signature and of a random set.
    """
    columns = gene_columns(cells)
    chosen = {name: [columns[gene] for gene in genes if gene in columns] for name, genes in signatures.items()}
    taken = {column for own in chosen.values() for column in own}
    mean = np.asarray(cells.X.mean(axis=0), dtype=np.float64).ravel()
    background = np.flatnonzero(memory if memory.sum() >= _ENOUGH_MEMORY else np.ones_like(memory))
    found = {}
    for name, own in chosen.items():
        sets = _alike(mean, own, taken)
        if sets is not None:
            found[name] = _against(cells, own, sets, neighbours, background)
    return found


def _alike(mean: Array, own: Sequence[int], taken: Collection[int]) -> _Sets | None:
    """Draw random sets: each gene of a signature is replaced by one of nearest mean, of no helper signature."""
    others = np.setdiff1d(np.flatnonzero(mean > 0), list(taken))
    if len(others) < _FEWEST_ALIKE or not own:
        return None
    others = others[np.argsort(mean[others], kind="stable")]
    size = min(_ALIKE, len(others))
    rng = np.random.default_rng(_STREAM)
    rows = np.empty((len(own), _SETS), dtype=np.int64)
    half_of_set = np.repeat([0, 1], _HALF)
    control = np.zeros(len(others))
    for i, gene in enumerate(own):
        place = int(np.searchsorted(mean[others], mean[gene])) - size // 2
        start = min(max(place, 0), len(others) - size)
        # of the even places in the first half of the sets, of the odd ones in the second
        rows[i] = start + 2 * rng.integers(size // 2, size=_SETS) + half_of_set
        control[start : start + size] += 1 / (size * len(own))
    every = (np.full(rows.size, 1 / len(own)), (rows.ravel(), np.tile(np.arange(_SETS), len(own))))
    return _Sets(others, csc_matrix(every, shape=(len(others), _SETS)), control)


def _against(
    cells: AnnData, own: Sequence[int], sets: _Sets, neighbours: Neighbours, background: NDArray[np.int64]
) -> Array:
    """Return a signature's score less the cell's mean of random sets, in their sd, scaled to their tail."""
    used = np.flatnonzero(sets.control)
    expressed = cells.X[:, sets.genes[used]].astype(np.float64)
    control = np.asarray(expressed @ sets.control[used])

    def score(raw: Array) -> Array:
        mixed = raw - (control if raw.ndim == 1 else control[:, None])
        mixed = (mixed + smooth(neighbours, mixed)) / 2
        return np.asarray(mixed - np.median(mixed[background], axis=0))

    shown = background[drawn_rows(len(background), _TAIL_OF, _STREAM)]
    total, squares, tail = np.zeros((2, cells.n_obs)), np.zeros((2, cells.n_obs)), []
    for start in range(0, _SETS, _BLOCK):
        block = score((expressed @ sets.weights[used, start : start + _BLOCK]).toarray())
        half = int(start >= _HALF)
        total[half] += block.sum(axis=1)
        squares[half] += np.square(block).sum(axis=1)
        tail.append(block[shown])
    middle = total.sum(axis=0) / _SETS
    # about the middle of all sets
    variance = np.maximum((squares - 2 * middle * total) / _HALF + middle**2, 0.0)
    typical = float(np.median(variance.mean(axis=0)[background]))

    def spread(own_variance: Array) -> Array:
        return np.asarray(np.sqrt(_OWN_SPREAD * own_variance + (1 - _OWN_SPREAD) * typical) + _SPREAD_FLOOR)

    of_other_half = np.repeat(spread(variance[::-1][:, shown]), _HALF, axis=0).T
    random = (np.hstack(tail) - middle[shown, None]) / of_other_half
    border = max(float(np.quantile(random, 1 - FALSE_HELPERS)), ABOVE_RANDOM)
    signature = score(np.asarray(cells.X[:, list(own)].mean(axis=1), dtype=np.float64).ravel())
    return np.asarray((signature - middle) / spread(variance.mean(axis=0)) * (ABOVE_RANDOM / border))
