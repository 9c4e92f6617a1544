"""Single cells as AnnData under the storage contract: the only speller of its keys.

``X`` holds log(1 + counts per 10,000), ``layers["counts"]`` raw counts where the file has them, ``obsm["protein"]``
surface proteins as a data frame, ``obs["sample_id"]`` the sample. A file of proteins alone has no genes (``n_vars`` 0).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.errors import InputError, Problem
from immunolab.events.transforms import Asinh

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

ProteinScale = Literal["counts", "transformed"]
_BATCH_COLUMNS = ("batch", "batch_id", "pool", "lane", "run", "run_id", "sequencing_batch", "experiment")
PROTEIN_COUNTS = Asinh(5.0)  # display scale of protein counts: the cofactor of mass cytometry, of counts as small
_BACKGROUND = ("protein_background", "protein_background_sd")
STORED = "immunolab"  # what immunolab adds to an AnnData is under this word, or begins with it


def cell_data(
    cell_ids: Sequence[str] | NDArray[np.object_],
    sample_ids: Sequence[str] | NDArray[np.object_],
    *,
    genes: Sequence[str] = (),
    normalised: csr_matrix | None = None,
    counts: csr_matrix | None = None,
    protein: pd.DataFrame | None = None,
    protein_scale: ProteinScale = "counts",
    controls: pd.DataFrame | None = None,
    obs: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
) -> AnnData:
    """Return cells under the storage contract.

    Parameters
    ----------
    cell_ids, sample_ids
        Name and sample of each cell.
    genes
        Gene symbols, unique.
    normalised
        Cells x genes, log(1 + counts per 10,000); None without genes.
    counts
        Cells x genes, raw counts; None where there are none.
    protein
        Cells x proteins, columns in the vocabulary's spelling.
    protein_scale
        Whether ``protein`` holds counts or transformed values.
    controls
        Cells x isotype controls, on the scale of the proteins.
    obs
        Further columns, one row a cell.
    notes
        What was found out about the file.
    """
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    index = pd.Index(np.asarray(cell_ids, dtype=object))
    table = pd.DataFrame(index=index) if obs is None else obs.set_axis(index)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Observation names are not unique")  # a note says so
        return AnnData(
            X=csr_matrix((len(index), 0), dtype=np.float32) if normalised is None else normalised,
            obs=table.assign(sample_id=pd.Categorical(np.asarray(sample_ids, dtype=object))),
            var=pd.DataFrame(index=pd.Index(np.asarray(genes, dtype=object))),
            layers={} if counts is None else {"counts": counts},
            obsm={
                name: frame.set_axis(index)
                for name, frame in (("protein", protein), ("protein_controls", controls))
                if frame is not None
            },
            uns={STORED: {"modality": "single_cell", "protein_scale": protein_scale, "notes": list(notes)}},
        )


def check_anndata(data: object) -> None:
    """Raise when what should be single cells or events is no AnnData.

    Parameters
    ----------
    data
        As a caller gave it.

    Raises
    ------
    InputError
        It is something else.
    """
    from anndata import AnnData

    if not isinstance(data, AnnData):
        hint = "read cells with immunolab.read_cells(file); gated events are gated.to_anndata()"
        raise InputError(Problem("", "", f"{type(data).__name__} is not an AnnData", hint))


def is_cell_data(data: AnnData) -> bool:
    """Return whether an AnnData holds single cells under the storage contract."""
    return data.uns.get(STORED, {}).get("modality") == "single_cell" and "sample_id" in data.obs


def is_events(data: AnnData) -> bool:
    """Return whether an AnnData holds events of tubes under the storage contract."""
    return data.uns.get(STORED, {}).get("modality") == "flow" and "kind" in data.var


def sample_ids_of(cells: AnnData) -> NDArray[np.object_]:
    """Return the sample of each cell."""
    return np.asarray(cells.obs["sample_id"].astype(object))


def notes_of(cells: AnnData) -> tuple[str, ...]:
    """Return what was found out about the file, in words."""
    own = cells.uns[STORED]
    return tuple(map(str, own.get("notes_of_reading", own.get("notes", ()))))


def has_genes(cells: AnnData) -> bool:
    """Return whether the cells come with gene expression."""
    return bool(cells.n_vars)


def counts_of(cells: AnnData) -> csr_matrix | None:
    """Return raw counts, cells x genes; None where there are none."""
    return cells.layers.get("counts")


def gene_columns(cells: AnnData) -> Mapping[str, int]:
    """Return the column of each gene symbol."""
    return {gene: column for column, gene in enumerate(cells.var_names)}


def proteins_of(cells: AnnData) -> pd.DataFrame | None:
    """Return surface proteins, cells x markers; None where none were measured."""
    return cells.obsm.get("protein")


def drop_proteins(cells: AnnData) -> None:
    """Take surface proteins, and all that belongs to them, out of cells in place."""
    for name in ("protein", "protein_controls", *_BACKGROUND):
        cells.obsm.pop(name, None)


def protein_controls_of(cells: AnnData) -> pd.DataFrame | None:
    """Return isotype controls, cells x controls, on the scale of the proteins; None where none were measured."""
    return cells.obsm.get("protein_controls")


def protein_background_of(cells: AnnData) -> tuple[pd.DataFrame, pd.DataFrame] | tuple[None, None]:
    """Return each protein's mean count in droplets without cells, and its sd there, cells x markers.

    Both are None where no empty droplets were given.
    """
    level, spread = (cells.obsm.get(name) for name in _BACKGROUND)
    return (None, None) if level is None or spread is None else (level, spread)


def keep_protein_background(cells: AnnData, level: pd.DataFrame, spread: pd.DataFrame) -> None:
    """Store what droplets without cells show of each protein beside the proteins.

    Parameters
    ----------
    cells
        Under the storage contract.
    level, spread
        Cells x markers, counts: those of the batch of each cell.
    """
    for name, table in zip(_BACKGROUND, (level, spread), strict=True):
        cells.obsm[name] = table.astype(np.float32).set_axis(cells.obs_names)


def batches_of(cells: AnnData) -> NDArray[np.object_]:
    """Return the batch of each cell, by the first column of ``obs`` that names one; empty where none does."""
    by_lower = {str(name).lower(): name for name in cells.obs.columns}
    found = next((by_lower[name] for name in _BATCH_COLUMNS if name in by_lower), None)
    if found is None:
        return np.empty(0, dtype=object)
    return np.asarray(cells.obs[found].astype("string").fillna("").to_numpy(dtype=object))


def proteins_are_counts(cells: AnnData) -> bool:
    """Return whether surface proteins are counts, not transformed values."""
    return bool(cells.uns[STORED].get("protein_scale") == "counts")


def storable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts h5ad can hold: a missing one is empty."""
    text = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    return table.assign(**{name: table[name].astype(object).fillna("").astype(str) for name in text})
