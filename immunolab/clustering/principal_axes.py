"""Principal axes of sparse cells, exactly: eigenvectors of the products of genes, or of cells where these are fewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = NDArray[np.float64]

_ROWS = 4_000  # cells made dense at a time: 50 MB of 1,500 genes


@dataclass(frozen=True)
class PrincipalAxes:
    """Axes of the largest variance, the first one first.

    Attributes
    ----------
    directions
        Genes x axes, of length 1, the largest entry of each positive.
    centre
        Mean of each gene over the cells that axes were found on.
    """

    directions: Array
    centre: Array

    def transform(self, cells: csr_matrix) -> Array:
        """Return cells x axes.

        Parameters
        ----------
        cells
            Cells x the same genes.
        """
        return np.asarray(cells @ self.directions - self.centre @ self.directions)


def principal_axes(learnt_on: csr_matrix, n: int) -> PrincipalAxes:
    """Return the first n principal axes of cells.

    Parameters
    ----------
    learnt_on
        Cells x genes, sparse.
    n
        Axes, fewer than the rows and columns of ``learnt_on``.

    Notes
    -----
    The axes are those of scikit-learn's ``PCA(svd_solver="arpack")``. For 15,000 cells and 1,500 genes of which a cell
    shows a third, one product of matrices is a tenth of the work of that solver's some hundred products with vectors.
    """
    from scipy.linalg import eigh

    cells, genes = learnt_on.shape
    centre = np.asarray(learnt_on.mean(axis=0), dtype=np.float64).ravel()
    if cells >= genes:
        product = _products(learnt_on) - cells * np.outer(centre, centre)
        _, vectors = eigh(product, subset_by_index=(genes - n, genes - 1), overwrite_a=True, check_finite=False)
    else:
        dense = learnt_on.toarray().astype(np.float64) - centre
        _, of_cells = eigh(dense @ dense.T, subset_by_index=(cells - n, cells - 1), check_finite=False)
        vectors = dense.T @ of_cells
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)
    vectors = vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    sign = np.where(vectors[largest, np.arange(n)] < 0, -1.0, 1.0)
    return PrincipalAxes(np.ascontiguousarray(vectors * sign), centre)


def _products(cells: csr_matrix) -> Array:
    """Return the sum over cells of the product of two genes, genes x genes."""
    total = np.zeros((cells.shape[1], cells.shape[1]))
    for start in range(0, cells.shape[0], _ROWS):
        dense = cells[start : start + _ROWS].toarray().astype(np.float64)
        total += dense.T @ dense
    return total
