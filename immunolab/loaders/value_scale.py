"""Which scale the values of a single-cell matrix without counts are on: logs of what base, square roots, or linear.

Counts are whole numbers, and so, on the right scale, is every value of a cell beside the smallest: two counts are twice
one count, whatever the cell was scaled by. On another scale they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Scale = Literal["logs to base e", "logs to base 2", "logs to base 10", "square roots", "linear"]
LINEAR: Mapping[Scale, Callable[[NDArray[np.floating]], NDArray[np.floating]]] = {
    "logs to base e": np.expm1,
    "logs to base 2": lambda x: np.exp2(x) - 1,
    "logs to base 10": lambda x: np.power(10.0, x) - 1,
    "square roots": np.square,
    "linear": lambda x: x,
}
"""What brings values of each scale back to numbers in proportion to counts."""
_FEW_COUNTS = 6.5  # counts up to which two scales differ clearly: beyond, rounded values are near whole ones by chance
_WHOLE, _NOT_WHOLE = 0.03, 0.08  # mean distance from whole numbers on the right scale (rounding), and on another
_LEAST_VALUES = 200  # beyond the smallest of a cell: fewer show nothing (judgement)
_FURTHEST = 30.0  # values beyond which no log is, and powers overflow


def scale_of(values: csr_matrix) -> Scale | None:
    """Return the scale of a matrix; None where no scale makes whole numbers of it.

    Parameters
    ----------
    values
        Cells x genes, none negative.
    """
    away = {scale: _from_whole(values, back) for scale, back in LINEAR.items()}
    best = min(away, key=lambda scale: away[scale])
    others = [distance for scale, distance in away.items() if scale != best]
    return best if away[best] < _WHOLE and min(others) > _NOT_WHOLE else None


def _from_whole(values: csr_matrix, back: Callable[[NDArray[np.floating]], NDArray[np.floating]]) -> float:
    """Return how far small values are from multiples of the smallest of their cell; infinite where few say so."""
    filled = np.flatnonzero(np.diff(values.indptr))
    if not filled.size or (values.data.max() > _FURTHEST and back is not LINEAR["linear"] and back is not np.square):
        return np.inf
    linear = back(values.data.astype(np.float64))
    one = np.minimum.reduceat(linear, values.indptr[filled])
    ratio = linear / np.repeat(np.maximum(one, 1e-12), np.diff(values.indptr)[filled])
    distinct = (ratio > 1.2) & (ratio < _FEW_COUNTS)
    if distinct.sum() < _LEAST_VALUES:
        return np.inf
    return float(np.abs(ratio[distinct] - np.round(ratio[distinct])).mean())
