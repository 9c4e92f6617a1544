"""Single-cell expression in few dimensions: variable genes, principal components, neighbours."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.principal_axes import principal_axes
from immunolab.compiled import imported
from immunolab.events.subsample import drawn_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = NDArray[np.float64]
Neighbours = NDArray[np.int64]

_VARIABLE_GENES = 1500  # scanpy's tutorials take 1000 to 3000; judgement
_COMPONENTS = 25  # judgement: fewer lose rare lineages, more add noise to distances
_SD_FLOOR = 0.05  # log units added to each gene's sd, so that a gene of one cell in a thousand is not blown up
_HIGHEST = 10.0  # sd at which a scaled gene is clipped, scanpy.pp.scale's usual max_value
_AXES_ON = 15_000  # cells that axes are found on: their number no longer matters to 25 axes, memory does
_PLACED_AT_ONCE = 20_000  # cells: memory stays flat
_NEAREST_UP_TO = 30_000  # cells: nearest ones of 200,000 took two minutes a search, regions seven seconds
_REGION, _ROWS = 40, 4_000  # cells of a region on average, and rows of distances at a time
_EXACT_UP_TO = 60_000  # cells: exact neighbours cost their square, about half a minute for 60,000


def variable_genes(
    normalised: csr_matrix, n: int = _VARIABLE_GENES, *, among: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the columns of the most variable genes (`scanpy.pp.highly_variable_genes`; Satija et al. 2015).

    Parameters
    ----------
    normalised
        Cells x genes, log(1 + counts per 10,000).
    n
        How many; all genes come back where there are no more.
    among
        Rows of the cells looked at; None takes all.

    Notes
    -----
    They are found on at most 15,000 cells.
    """
    import scanpy
    from anndata import AnnData

    if normalised.shape[1] <= n:
        return np.arange(normalised.shape[1])
    looked_at = normalised[drawn_rows(normalised.shape[0] if among is None else among, _AXES_ON, 0)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of cells and genes, which play no part here
        table = scanpy.pp.highly_variable_genes(AnnData(looked_at), n_top_genes=n, inplace=False)
    return np.flatnonzero(table["highly_variable"].to_numpy())


def components(
    normalised: csr_matrix,
    genes: Sequence[int] | NDArray[np.int64],
    *,
    among: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Array:
    """Return the first 25 principal components of scaled genes, cells x components, the first with sd 1.

    Parameters
    ----------
    normalised
        Cells x genes, log(1 + counts per 10,000).
    genes
        Columns used.
    among
        Rows of the cells wanted, the others have no part in it; None takes all.
    seed
        Of the drawn cells: scales and axes are found on at most 15,000, and all cells are placed on them.
    """
    wanted = np.arange(normalised.shape[0]) if among is None else among
    learnt_on = normalised[drawn_rows(wanted, _AXES_ON, seed)][:, genes].astype(np.float64)
    mean = np.asarray(learnt_on.mean(axis=0)).ravel()
    square = np.bincount(learnt_on.indices, learnt_on.data**2, learnt_on.shape[1]) / learnt_on.shape[0]
    scale = 1.0 / (np.sqrt(np.maximum(square - mean**2, 0.0)) + _SD_FLOOR)
    size = min(_COMPONENTS, learnt_on.shape[0] - 1, learnt_on.shape[1] - 1)
    if size < 1:
        return np.zeros((len(wanted), 1))
    axes = principal_axes(_clipped(learnt_on, scale), size)
    placed = np.empty((len(wanted), size))
    for start in range(0, len(placed), _PLACED_AT_ONCE):
        rows = slice(start, start + _PLACED_AT_ONCE)
        placed[rows] = axes.transform(_clipped(normalised[wanted[rows]][:, genes], scale))
    return np.asarray(placed / max(float(placed[:, 0].std()), 1e-9))


def _clipped(cells: csr_matrix, scale: Array) -> csr_matrix:
    """Return genes in units of their sd, an empty gene as 0, none above ten."""
    scaled = cells.astype(np.float64)
    scaled.data *= scale[scaled.indices]
    np.minimum(scaled.data, _HIGHEST, out=scaled.data)
    return scaled


def nearest_cells(points: Array, k: int = 20, seed: int = 0) -> Neighbours:
    """Return rows of the k nearest cells of each cell, itself first.

    Exact up to 60,000 cells; above that by nearest-neighbour descent (Dong et al. 2011, WWW 577).

    Parameters
    ----------
    points
        Cells x dimensions.
    k
        How many; as many as there are cells at most.
    seed
        Of the descent.
    """
    k = min(k, len(points))
    if len(points) <= _EXACT_UP_TO:
        from sklearn.neighbors import NearestNeighbors

        found = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points).kneighbors(points, return_distance=False)
        return np.asarray(found, dtype=np.int64)
    descent = imported("pynndescent").NNDescent
    index, _ = descent(points.astype(np.float32), n_neighbors=k, random_state=seed, n_jobs=1).neighbor_graph
    return np.where(index < 0, np.arange(len(points))[:, None], index).astype(np.int64)


def similar_cells(points: Array, k: int = 20, seed: int = 0) -> Neighbours:
    """Return rows of k cells like each cell: the nearest up to 30,000 cells, above that cells of the same small region.

    A region holds the cells that are nearest to one of the cells drawn, one in forty.

    Parameters
    ----------
    points
        Cells x dimensions.
    k
        How many; as many as there are cells at most.
    seed
        Of the cells drawn.
    """
    if len(points) <= _NEAREST_UP_TO:
        return nearest_cells(points, k, seed)
    drawn = points[drawn_rows(len(points), len(points) // _REGION, seed)].astype(np.float32)
    half = (drawn**2).sum(axis=1) / 2
    starts = range(0, len(points), _ROWS)
    region = np.concatenate(
        [np.argmin(half - points[i : i + _ROWS].astype(np.float32) @ drawn.T, axis=1) for i in starts]
    )
    order = np.argsort(region, kind="stable")
    sizes = np.bincount(region, minlength=len(drawn))
    first = np.cumsum(sizes) - sizes
    place = np.empty(len(points), dtype=np.int64)
    place[order] = np.arange(len(points)) - first[region[order]]
    # the cell itself, then those that follow it in its region, in a ring
    ring = (place[:, None] + np.arange(k)) % sizes[region][:, None]
    return np.asarray(order[first[region][:, None] + ring], dtype=np.int64)


def smooth(neighbours: Neighbours, values: Array) -> Array:
    """Return the mean over each cell's neighbours, of one value or of several a cell.

    Parameters
    ----------
    neighbours
        Rows of each cell's neighbours, cells x neighbours.
    values
        Of shape (cells,) or (cells, values).
    """
    from immunolab.clustering._neighbour_sums import sums_of_neighbours

    columns = np.ascontiguousarray(values.reshape(len(values), -1), dtype=np.float64)
    total = sums_of_neighbours(np.ascontiguousarray(neighbours), columns)
    return np.asarray(total.reshape(values.shape) / neighbours.shape[1])
