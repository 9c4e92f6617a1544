"""What the numbers of a single-cell matrix are: counts, counts per 10,000, logs of them, or z-scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import DataFileError
from immunolab.loaders.cell_features import Features
from immunolab.loaders.value_scale import LINEAR, Scale, scale_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Kind = Literal["counts", "log", "scaled_counts", "z_scores", "not_finite"]
_LOOK_AT = 500  # cells, evenly spaced, by which the kind of a matrix is recognised (judgement)
_TARGET = 1e4  # counts a cell is scaled to, the field's convention (scanpy, Seurat)
_ROWS = 20_000  # cells at a time: memory stays flat
COUNT_LAYERS = ("counts", "raw_counts", "raw", "umi", "spliced_unspliced")
"""Layers that hold counts, where the file has them."""


@dataclass(frozen=True)
class Matrix:
    """Genes of the cells, cells x genes.

    Attributes
    ----------
    normalised
        log(1 + counts per 10,000).
    counts
        Raw counts, where the file holds them.
    note
        Where they were found, when not in the usual place.
    """

    normalised: csr_matrix
    counts: csr_matrix | None
    note: str = ""


def recognise(data: Any, features: Features, where: str) -> Matrix:
    """Return the genes' matrix, from wherever the file holds counts, else from what was normalised.

    Parameters
    ----------
    data
        The AnnData.
    features
        Its columns.
    where
        The file, for messages.

    Raises
    ------
    DataFileError
        Only z-scores or values of an unknown kind are there, or the genes hold nothing at all.
    """
    seen: dict[Kind, tuple[str, Any]] = {}
    for place, matrix in _places(data, features):
        kind = kind_of(matrix)
        if kind == "counts":
            counts = _as_csr(matrix)
            if counts.sum() == 0:
                raise DataFileError("every count of every gene is zero", where, "write the matrix again")
            return Matrix(_normalise(counts), counts, "" if place == "X" else f"counts are taken from {place}")
        seen.setdefault(kind, (place, matrix))
    if "log" in seen:
        return _of_logs(*seen["log"])
    if "scaled_counts" in seen:
        return _of_scaled(*seen["scaled_counts"])
    hint = "put raw counts into layers['counts']"
    what = "z-scores (negative values)" if "z_scores" in seen else "values that are missing or infinite (NaN, inf)"
    raise DataFileError(f"the matrix holds {what}, and there are no counts", where, hint)


def _of_logs(place: str, matrix: Any) -> Matrix:
    """Return values that are small and no whole numbers: logs to base e, unless another scale makes counts of them."""
    values = _as_csr(matrix)
    scale = scale_of(values[_some(values)])
    note = f"{place} is already normalised: no counts, so no pseudobulk and no count limits"
    if scale in (None, "logs to base e"):
        return Matrix(_rescaled(values), None, note)
    return Matrix(_normalise(_linear(values, scale)), None, f"{note}; it holds {scale}, brought to base e here")


def _of_scaled(place: str, matrix: Any) -> Matrix:
    values = _as_csr(matrix)
    if scale_of(values[_some(values)]) == "square roots":
        note = f"{place} holds square roots of normalised counts; they are squared and logged here"
        return Matrix(_normalise(_linear(values, "square roots")), None, note)
    return Matrix(_normalise(values), None, f"{place} holds normalised counts, not logs; they are logged here")


def _linear(values: csr_matrix, scale: Scale) -> csr_matrix:
    result = values.copy()
    result.data = LINEAR[scale](values.data).astype(np.float32)
    return result


def _places(data: Any, features: Features) -> Iterator[tuple[str, Any]]:
    for name in COUNT_LAYERS:
        if name in data.layers:
            yield f"layers['{name}']", _columns_of(data.layers[name], features.gene_columns)
    if data.X is not None:
        yield "X", _columns_of(data.X, features.gene_columns)
    if data.raw is not None:
        columns = data.raw.var_names.get_indexer(data.var_names[features.gene_columns])
        if (columns >= 0).all():
            yield "raw", data.raw.X[:, columns]


def _columns_of(matrix: Any, columns: NDArray[np.int64]) -> Any:
    """Return columns of a matrix; all of them in their order are the matrix itself, without a copy."""
    whole = len(columns) == matrix.shape[1] and np.array_equal(columns, np.arange(matrix.shape[1]))
    return matrix if whole else matrix[:, columns]


def kind_of(matrix: Any) -> Kind:
    """Return what the numbers are, judged from 500 cells spread over the file.

    Parameters
    ----------
    matrix
        Cells x genes.
    """
    some = _as_csr(matrix[_some(matrix)])
    values = some.data
    if values.size and (~np.isfinite(values)).any():
        return "not_finite"
    if values.size and values.min() < 0:
        return "z_scores"
    if not values.size or np.allclose(values, np.round(values), atol=1e-4):
        return "counts"
    totals = np.asarray(some.sum(axis=1)).ravel()
    if _constant(totals):
        return "scaled_counts"
    if values.max() < 30:
        return "log"
    return "scaled_counts"


def _some(matrix: Any) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, matrix.shape[0] - 1, _LOOK_AT).astype(np.int64))


def _constant(totals: NDArray[np.float64]) -> bool:
    kept = totals[totals > 0]
    return bool(kept.size > 1 and kept.std() < 0.01 * kept.mean())


def _rescaled(logged: csr_matrix) -> csr_matrix:
    """Bring logs of counts per any total to log(1 + counts per 10,000), so that scores mean the same."""
    back = logged.copy()
    back.data = np.expm1(back.data)
    totals = np.asarray(back.sum(axis=1)).ravel()
    return _normalise(back) if _constant(totals) else logged


def _normalise(counts: csr_matrix) -> csr_matrix:
    """Return log(1 + counts per 10,000), float32; a cell without counts stays empty."""
    from scipy.sparse import csr_matrix

    totals = np.asarray(counts.sum(axis=1)).ravel().astype(np.float64)
    scale = np.divide(_TARGET, totals, out=np.zeros_like(totals), where=totals > 0)
    values = np.empty(counts.nnz, dtype=np.float32)
    for start in range(0, counts.shape[0], _ROWS):
        ends = counts.indptr[start : start + _ROWS + 1]
        own = slice(ends[0], ends[-1])
        values[own] = counts.data[own] * np.repeat(scale[start : start + _ROWS], np.diff(ends))
        np.log1p(values[own], out=values[own])
    # counts and their logs are at the same places, which are kept once
    return csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape, copy=False)


def _as_csr(matrix: Any) -> csr_matrix:
    """Return a matrix, dense or sparse, as float32 rows."""
    from scipy.sparse import csr_matrix

    if hasattr(matrix, "to_memory"):
        matrix = matrix.to_memory()
    result = csr_matrix(matrix, dtype=np.float32)
    if not result.data.all():
        result = result.copy()  # the user's own matrix is left as it is
        result.eliminate_zeros()
    return result


def dense_proteins(matrix: Any) -> NDArray[np.float64]:
    """Return proteins, dense or sparse, as a float64 array.

    Parameters
    ----------
    matrix
        Cells x proteins.
    """
    values = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    return np.asarray(values, dtype=np.float64)
