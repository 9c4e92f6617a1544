"""CITE-seq as MuData, in and out: genes as ``rna``, surface proteins as ``prot``, the names that muon uses."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunolab.errors import DataFileError, InputError, Problem
from immunolab.events.cells import STORED, check_anndata, has_genes, is_cell_data, proteins_are_counts, proteins_of

if TYPE_CHECKING:
    from anndata import AnnData

_RNA = ("rna", "gex", "gene expression", "gene_expression")
_PROTEIN = ("prot", "protein", "proteins", "adt", "cite", "antibody capture", "antibody_capture")
NOTES = "immunolab_notes"
"""Key of ``uns`` under which a reader of files leaves its remarks for `interpret_cells`."""
_INSTALL = "pip install 'immunolab[multimodal]'"


def to_mudata(cells: AnnData) -> Any:
    """Return single cells as MuData: ``rna`` and ``prot``, what the cells do not have left out.

    Parameters
    ----------
    cells
        As `immunolab.read_cells` gives them, labelled or not. Left as they are.

    Returns
    -------
    MuData
        ``rna``: the cells without their proteins, ``X`` log(1 + counts per 10,000). ``prot``: cells x proteins, ``X``
        and, where they are counts, ``layers["counts"]``. ``obs`` of MuData has ``sample_id`` and the labels.
        `read_cells` gives the same cells back from its ``.h5mu``.

    Raises
    ------
    InputError
        It is no AnnData, holds the events of a tube, was not read here, or mudata is not installed.
    """
    check_anndata(cells)
    if not is_cell_data(cells):
        hint = "read them with immunolab.read_cells; the events of tubes have one modality and stay AnnData"
        raise InputError(Problem("", "cells", "these are not single cells as immunolab keeps them", hint))
    if find_spec("mudata") is None:
        raise InputError(Problem("", "to_mudata", "mudata is not installed", _INSTALL))
    from anndata import AnnData
    from mudata import MuData

    protein = proteins_of(cells)
    parts = {}
    rna = cells.to_memory() if cells.isbacked else cells.copy()
    rna.obsm.pop("protein", None)
    if has_genes(cells):
        parts["rna"] = rna
    if protein is not None:
        values = protein.to_numpy(dtype=np.float32)
        parts["prot"] = AnnData(
            X=values,
            obs=pd.DataFrame(index=cells.obs_names) if parts else rna.obs,
            var=pd.DataFrame(index=pd.Index(protein.columns.astype(str))),
            layers={"counts": values.copy()} if proteins_are_counts(cells) else {},
            uns={} if parts else {STORED: rna.uns[STORED]},
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own next version
        found = MuData(parts)
    for name in cells.obs:
        if name == "sample_id" or str(name).startswith(STORED):
            found.obs[name] = cells.obs[name]
    return found


def read_h5mu(source: Path) -> AnnData:
    """Return the cells of an ``.h5mu`` that all its modalities have, with surface proteins in ``obsm["protein"]``.

    Parameters
    ----------
    source
        The file.

    Raises
    ------
    DataFileError
        mudata is not installed, the file cannot be read, or has neither genes nor surface proteins.
    """
    if find_spec("mudata") is None:
        raise DataFileError("an h5mu file needs mudata, which is not installed", str(source), _INSTALL)
    names = _modalities(source)
    rna = _modality(source, next((names[name] for name in _RNA if name in names), ""))
    protein = _modality(source, next((names[name] for name in _PROTEIN if name in names), ""))
    if rna is None and protein is None:
        hint = f"name them rna and prot; it has: {', '.join(names.values())}"
        raise DataFileError("no modality holds genes or surface proteins", str(source), hint)
    return _joined(rna, protein, _cells_of(source))


def _modalities(source: Path) -> dict[str, str]:
    """Return the names of a file's modalities, by their names in lower case."""
    import h5py

    with h5py.File(source, "r") as handle:
        return {str(name).lower(): str(name) for name in handle["mod"]}


def _modality(source: Path, name: str) -> AnnData | None:
    """Return one modality, "" None: others (receptors, chromatin) may need what is not installed."""
    import mudata

    if not name:
        return None
    with _said_of(source), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mudata.read_h5ad(source, mod=name)


def _cells_of(source: Path) -> pd.DataFrame:
    """Return the columns that all modalities share."""
    import anndata
    import h5py

    with _said_of(source), h5py.File(source, "r") as handle:
        return anndata.io.read_elem(handle["obs"])


@contextmanager
def _said_of(source: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # as anndata, of which it is made
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataFileError(f"the h5mu file cannot be read: {first}", str(source), "write the file again") from error


def _joined(rna: AnnData | None, protein: AnnData | None, obs: pd.DataFrame) -> AnnData:
    first = protein if rna is None else rna
    if first is None:
        raise ValueError("genes or proteins are needed")
    both = first.obs_names if protein is None else first.obs_names[first.obs_names.isin(protein.obs_names)]
    data = first[both].copy() if rna is not None else _without_genes(first)
    if protein is not None:
        matrix = protein[both].layers.get("counts", protein[both].X)
        values = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
        data.obsm["protein"] = pd.DataFrame(values, index=data.obs_names, columns=protein.var_names.astype(str))
        cells = first.obs_names.union(protein.obs_names).nunique()
        if len(both) < cells:
            data.uns[NOTES] = [f"{len(both)} of {cells} cells have both genes and proteins; the others are left out"]
    for name in obs:
        if name not in data.obs and ":" not in str(name):  # with a colon they are those of one modality
            data.obs[name] = obs[name].reindex(data.obs_names)
    return data


def _without_genes(protein: AnnData) -> AnnData:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    return AnnData(
        X=csr_matrix((protein.n_obs, 0), dtype=np.float32),
        obs=protein.obs.copy(),
        uns=dict(protein.uns) if is_cell_data(protein) else {},
    )
