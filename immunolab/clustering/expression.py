"""Single-cell expression in few dimensions: variable genes, principal components, neighbours, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.sparse_pca import principal_axes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = NDArray[np.float64]
Neighbours = NDArray[np.int64]

_SD_FLOOR = 0.05
_HIGHEST = 6.0
_EXACT_UP_TO = 60_000
_TRAIN_ON = 30_000


@dataclass(frozen=True)
class GeneScore:
    """A score of each cell, the genes it rests on, and those of the signature that the data lack."""

    values: Array
    found: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether at least half of the signature's genes were measured."""
        return len(self.found) >= len(self.missing) and bool(self.found)


def signature_score(normalised: csr_matrix, columns: Mapping[str, int], genes: Sequence[str]) -> GeneScore:
    """Return the mean of a signature's genes, each in units of its own standard deviation.

    A gene is clipped at six standard deviations, so that one bright cell does not speak for a
    signature; genes that no cell expresses are missing.
    """
    named = [gene for gene in dict.fromkeys(genes) if gene in columns]
    block = normalised[:, [columns[gene] for gene in named]].toarray().astype(np.float64)
    there = block.max(axis=0, initial=0.0) > 0 if len(block) else np.zeros(len(named), dtype=bool)
    found = tuple(gene for gene, some in zip(named, there, strict=True) if some)
    missing = tuple(gene for gene in dict.fromkeys(genes) if gene not in found)
    if not found:
        return GeneScore(np.zeros(normalised.shape[0]), (), missing)
    scaled = block[:, there] / (block[:, there].std(axis=0) + _SD_FLOOR)
    return GeneScore(np.minimum(scaled, _HIGHEST).mean(axis=1), found, missing)


def relative_score(
    normalised: csr_matrix, columns: Mapping[str, int], genes: Sequence[str], seed: int = 0
) -> GeneScore:
    """Return a signature's score less that of 50 random genes of like abundance, so that depth drops out.

    The control set of Tirosh et al. 2016 (Science 352:189): for each gene, genes of the same 24th part
    by mean expression.
    """
    score = signature_score(normalised, columns, genes)
    if not score.found:
        return score
    mean = np.asarray(normalised.mean(axis=0)).ravel()
    rank = np.argsort(np.argsort(mean)) * 24 // max(len(mean), 1)
    own = {columns[gene] for gene in score.found}
    rng = np.random.default_rng(seed)
    drawn: set[int] = set()
    for gene in score.found:
        alike = np.array([c for c in np.flatnonzero(rank == rank[columns[gene]]) if c not in own], dtype=np.int64)
        drawn |= set(rng.choice(alike, min(len(alike), max(50 // len(score.found), 4)), replace=False).tolist())
    if not drawn:
        return score
    block = normalised[:, sorted(drawn)].toarray().astype(np.float64)
    control = np.minimum(block / (block.std(axis=0) + _SD_FLOOR), _HIGHEST).mean(axis=1)
    # the slope takes away depth only as far as the score follows it
    spread = control.var()
    slope = float(np.cov(score.values, control)[0, 1] / spread) if spread > 0 else 0.0
    return GeneScore(score.values - np.clip(slope, 0.0, 1.0) * (control - control.mean()), score.found, score.missing)


def variable_genes(normalised: csr_matrix, n: int = 1500) -> NDArray[np.int64]:
    """Return the columns of the genes whose dispersion exceeds that of genes of like mean (Satija et al. 2015)."""
    mean = np.asarray(normalised.mean(axis=0)).ravel().astype(np.float64)
    square = np.asarray(normalised.multiply(normalised).mean(axis=0)).ravel()
    dispersion = np.divide(square - mean**2, mean, out=np.zeros_like(mean), where=mean > 0)
    kept = np.flatnonzero(mean > min(0.01, float(np.quantile(mean, 0.5))))
    if len(kept) <= n:
        return kept
    group = np.argsort(np.argsort(mean[kept])) * 20 // len(kept)
    excess = np.zeros(len(kept))
    for number in range(20):
        inside = group == number
        values = dispersion[kept[inside]]
        middle = np.median(values)
        excess[inside] = (values - middle) / (np.median(np.abs(values - middle)) + 1e-9)
    return np.sort(kept[np.argsort(-excess, kind="stable")[:n]])


def components(normalised: csr_matrix, genes: NDArray[np.int64], n: int = 25, seed: int = 0) -> Array:
    """Return the first principal components of scaled genes, cells x components, the first with sd 1.

    Axes are found on at most 30,000 cells; all cells are then placed on them.
    """
    from scipy.sparse import diags

    some = normalised[:, genes].astype(np.float64)
    mean = np.asarray(some.mean(axis=0)).ravel()
    sd = np.sqrt(np.maximum(np.asarray(some.multiply(some).mean(axis=0)).ravel() - mean**2, 0.0))
    scaled = (some @ diags(1.0 / (sd + _SD_FLOOR))).tocsr()
    np.minimum(scaled.data, 10.0, out=scaled.data)
    rows = np.arange(scaled.shape[0])
    if len(rows) > _TRAIN_ON:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _TRAIN_ON, replace=False))
    size = min(n, len(rows) - 1, scaled.shape[1])
    if size < 1:
        return np.zeros((scaled.shape[0], 1))
    axes, centre = principal_axes(scaled[rows], size, np.random.default_rng(seed))
    placed = scaled @ axes - centre @ axes
    return np.asarray(placed / max(float(placed[:, 0].std()), 1e-9))


def nearest_cells(points: Array, k: int = 20, seed: int = 0) -> Neighbours:
    """Return rows of the k nearest cells of each cell, itself first.

    Exact up to 60,000 cells; above that by nearest-neighbour descent (Dong et al. 2011).
    """
    k = min(k, len(points))
    if len(points) <= _EXACT_UP_TO:
        from sklearn.neighbors import NearestNeighbors

        found = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points).kneighbors(points, return_distance=False)
        return np.asarray(found, dtype=np.int64)
    from pynndescent import NNDescent

    index, _ = NNDescent(points.astype(np.float32), n_neighbors=k, random_state=seed, n_jobs=1).neighbor_graph
    return np.where(index < 0, np.arange(len(points))[:, None], index).astype(np.int64)


def smooth(neighbours: Neighbours, values: Array) -> Array:
    """Return the mean over each cell's neighbours, of one value or of several a cell."""
    total = np.zeros_like(values, dtype=np.float64)
    for column in neighbours.T:
        total += values[column]
    return np.asarray(total / neighbours.shape[1])
