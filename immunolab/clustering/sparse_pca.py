"""Principal axes of a sparse matrix, without making it dense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_ROUNDS = 8
_SPARE = 10


def principal_axes(
    matrix: csr_matrix, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first n principal axes (columns x n) and the column means.

    Randomised subspace iteration (Halko, Martinsson and Tropp 2011, SIAM Rev 53:217); centring is part
    of the product, so that zeros stay zeros. Each axis points to where its largest weight is positive.
    """
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    size = min(n + _SPARE, *matrix.shape)
    turned = matrix.T.tocsr()
    axes = np.linalg.qr(rng.normal(size=(matrix.shape[1], size)))[0]
    for _ in range(_ROUNDS):
        placed = matrix @ axes - mean @ axes
        axes = np.linalg.qr(turned @ placed - np.outer(mean, placed.sum(axis=0)))[0]
    _, _, rotation = np.linalg.svd(matrix @ axes - mean @ axes, full_matrices=False)
    axes = (axes @ rotation.T)[:, :n]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return axes, mean
