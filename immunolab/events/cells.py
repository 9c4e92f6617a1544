"""Single cells of one or several samples: what loaders return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ProteinScale = Literal["counts", "transformed"]


@dataclass(frozen=True)
class Cells:
    """Cells with genes, surface proteins, or both; rows in file order.

    Attributes
    ----------
    cell_ids
        Barcode or name of each cell, as in the file.
    sample_ids
        Sample of each cell.
    genes
        Gene symbols, unique; empty without genes.
    normalised
        Cells x genes, log(1 + counts per 10,000), float32; None without genes.
    counts
        Cells x genes, raw counts; None where the file holds none.
    proteins
        Markers in the vocabulary's spelling, unique; an unknown protein keeps its own name.
    protein
        Cells x proteins, float64; None without proteins.
    protein_scale
        Whether ``protein`` holds counts or values that were transformed before.
    obs
        What else the file says of each cell.
    notes
        What was found out about the file, and what is unusual about it, in words.
    """

    cell_ids: NDArray[np.object_]
    sample_ids: NDArray[np.object_]
    genes: tuple[str, ...] = ()
    normalised: csr_matrix | None = None
    counts: csr_matrix | None = None
    proteins: tuple[str, ...] = ()
    protein: NDArray[np.float64] | None = None
    protein_scale: ProteinScale = "counts"
    obs: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.cell_ids)

    def gene_columns(self) -> Mapping[str, int]:
        """Return the column of each gene symbol."""
        return {gene: column for column, gene in enumerate(self.genes)}

    def protein_column(self, marker: str) -> NDArray[np.float64] | None:
        """Return a protein's values, one a cell; None when it was not measured."""
        if self.protein is None or marker not in self.proteins:
            return None
        return self.protein[:, self.proteins.index(marker)]
