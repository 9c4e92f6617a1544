"""Samples of single cells put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.events.cells import Cells, ProteinScale

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def join_cells(parts: Sequence[Cells]) -> Cells:
    """Return the cells of several files as one, with the genes and proteins that all of them have.

    Counts are kept only where every file holds them; proteins are counts only where all are.

    Parameters
    ----------
    parts
        Cells of one file each, in the order of the result.
    """
    if len(parts) == 1:
        return parts[0]
    genes = _common([part.genes for part in parts])
    proteins = _common([part.proteins for part in parts])
    scale: ProteinScale = "counts" if all(part.protein_scale == "counts" for part in parts) else "transformed"
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    most = max(len(part.genes) for part in parts)
    if len(genes) < most:
        notes = (*notes, f"{len(genes)} of up to {most} genes are in every file; the others are left out")
    return Cells(
        cell_ids=np.concatenate([part.cell_ids for part in parts]),
        sample_ids=np.concatenate([part.sample_ids for part in parts]),
        genes=genes,
        normalised=_stacked([(part, part.normalised) for part in parts], genes),
        counts=_stacked([(part, part.counts) for part in parts], genes),
        proteins=proteins,
        protein=_proteins(parts, proteins),
        protein_scale=scale,
        obs=pd.concat([part.obs for part in parts]),
        notes=notes,
    )


def _common(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    shared = set(names[0]).intersection(*map(set, names[1:]))
    return tuple(name for name in names[0] if name in shared)


def _stacked(matrices: Sequence[tuple[Cells, csr_matrix | None]], genes: tuple[str, ...]) -> csr_matrix | None:
    from scipy.sparse import vstack

    blocks = []
    for part, matrix in matrices:
        if matrix is None or not genes:
            return None
        if part.genes != genes:
            columns = part.gene_columns()
            matrix = matrix[:, [columns[gene] for gene in genes]]
        blocks.append(matrix)
    return vstack(blocks).tocsr()


def _proteins(parts: Sequence[Cells], proteins: tuple[str, ...]) -> np.ndarray | None:
    if not proteins:
        return None
    return np.concatenate(
        [
            np.stack([column for m in proteins if (column := part.protein_column(m)) is not None], axis=1)
            for part in parts
        ]
    )
