"""The space that cells are compared in: principal components of genes, with the proteins beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.expression import Array, components, variable_genes
from immunolab.events.cells import gene_columns, has_genes

if TYPE_CHECKING:
    from anndata import AnnData

    from immunolab.cells.proteins import ProteinGates

# Proteins together weigh as much as this many columns of sd 1: as the genes' first components do (judgement). More
# would let a large antibody panel drown the genes, fewer would lose the panel.
_PROTEIN_WEIGHT = 4


def cell_space(
    cells: AnnData,
    gates: ProteinGates,
    among: NDArray[np.bool_] | None = None,
    *,
    genes: Sequence[str] = (),
    seed: int = 0,
) -> Array:
    """Return cells x dimensions.

    Parameters
    ----------
    cells
        Under the storage contract.
    gates
        Display values of their proteins.
    among
        The cells wanted; the others have no part in the axes. None takes all.
    genes
        Symbols used besides the variable genes.
    seed
        Of drawn cells, see `expression.components`.
    """
    chosen = np.ones(cells.n_obs, dtype=bool) if among is None else among
    beside = _proteins(gates, chosen)
    if not has_genes(cells):
        return beside if beside.shape[1] else np.zeros((len(beside), 1))  # no protein varies
    rows, columns = np.flatnonzero(chosen), gene_columns(cells)
    extra = np.array([columns[gene] for gene in genes if gene in columns], dtype=np.int64)
    axes = np.union1d(variable_genes(cells.X, among=rows), extra)
    return np.hstack([components(cells.X, axes, among=rows, seed=seed), beside])


def _proteins(gates: ProteinGates, chosen: NDArray[np.bool_]) -> Array:
    if not gates.markers:
        return np.empty((int(chosen.sum()), 0))
    shown = np.stack([gates.shown(marker)[chosen] for marker in gates.markers], axis=1)
    scaled = (shown - shown.mean(axis=0)) / np.maximum(shown.std(axis=0), 1e-9)
    return np.asarray(scaled / np.sqrt(max(scaled.shape[1] / _PROTEIN_WEIGHT, 1.0)))
