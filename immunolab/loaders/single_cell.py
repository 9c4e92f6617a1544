"""Single-cell files: h5ad of any version, 10x HDF5 and Matrix Market folders, with surface proteins."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.errors import DataFileError, nearest
from immunolab.events.cells import (
    STORED,
    cell_data,
    drop_proteins,
    is_cell_data,
    is_events,
    notes_of,
    proteins_are_counts,
    proteins_of,
    sample_ids_of,
)
from immunolab.loaders.cell_features import Features, check_rows_are_cells, hashtag_samples, split_features
from immunolab.loaders.cell_files import open_cells
from immunolab.loaders.cell_header import sample_column
from immunolab.loaders.cell_matrices import dense_proteins, recognise
from immunolab.loaders.cell_proteins import find_proteins
from immunolab.loaders.empty_droplets import add_background
from immunolab.loaders.multimodal import NOTES
from immunolab.loaders.whole_matrix import check_droplets, with_all_genes

if TYPE_CHECKING:
    from anndata import AnnData

_HASHTAG_KEYS = ("hto", "hashtags", "hashtag", "hashing")


def read_cells(
    path: Path | str,
    *,
    sample_column: str = "",
    sample_id: str = "",
    backed: bool = False,
    empty: AnnData | Path | str | None = None,
) -> AnnData:
    """Read single cells: ``.h5ad``, ``.h5mu``, zarr, 10x ``.h5``, or a folder with ``matrix.mtx`` (zipped or not).

    Counts are looked for in ``layers["counts"]``, X and raw, by what the numbers are, not by where they
    are; a normalised matrix is recognised. Surface proteins come from ``obsm``, from features of type
    ``Antibody Capture``, or from the proteins of an ``.h5mu``; hashtags from ``obsm`` or from features called so. What
    immunolab wrote comes back as it was written: nothing is normalised or scaled a second time, and events of tubes
    (`to_anndata`) stay on their display scale.

    Parameters
    ----------
    path
        File or folder.
    sample_column
        Column of ``obs`` that names the sample; "" looks for the usual ones, then for hashtags, then takes the
        file as one sample.
    sample_id
        Name of the only sample, where the file does not say it; "" takes the file's stem.
    backed
        Leave the matrices in the file and read of them what is asked for: ``.h5ad`` that immunolab wrote. `cluster`
        and `umap` read the columns that they compare by, for labelled cells ``obsm["X_immunolab"]``; ``sc.pl`` reads
        what it draws; `label` needs all cells in memory (``cells.to_memory()``).
    empty
        Droplets without cells, or all droplets (10x's raw matrix): a file, a folder, or an AnnData. What they show of
        each protein is its background: `label` takes no border inside it, brings batches to one background, and calls
        a protein that shows one group by it. Where ``obs["batch"]`` is in both, each batch has its own.

    Returns
    -------
    AnnData
        ``X`` log(1 + counts per 10,000), ``layers["counts"]``, ``obsm["protein"]``, ``obs["sample_id"]``; see
        `immunolab.events.cells`.

    Raises
    ------
    DataFileError
        The file is missing, is no single-cell file, holds no cells or all droplets (the raw matrix), or no genes or
        proteins that can be used, or
        cannot be left in the file; or ``empty`` holds too few droplets without cells, or lacks proteins of the cells.
        The message says which and how to fix it.
    """
    source = Path(path)
    sample = sample_id or source.name.split(".")[0]
    found = open_cells(source, backed=backed)
    if is_events(found):
        return found
    if backed and (not is_cell_data(found) or sample_column):
        hint = "read_cells(file) once without backed, write_h5ad, and open that file"
        text = "its cells are not yet normalised, named and ordered as immunolab keeps them, which needs them in memory"
        raise DataFileError(text, str(source), hint)
    cells = interpret_cells(found, str(source), sample_column=sample_column, sample_id=sample)
    if empty is not None:
        add_background(cells, empty)
    return cells


def interpret_cells(data: AnnData, where: str = "", *, sample_column: str = "", sample_id: str = "cells") -> AnnData:
    """Return any AnnData of single cells under the storage contract, as `read_cells` does with a file.

    Parameters
    ----------
    data
        Cells x genes, proteins, or both; left as it is.
    where
        The file it comes from, for messages.
    sample_column, sample_id
        See `read_cells`.

    Raises
    ------
    DataFileError
        It holds no cells, or no genes or proteins that can be used.
    """
    if is_cell_data(data) and not sample_column:
        return data
    if data.n_obs == 0:
        raise DataFileError("the file holds no cells", where, "write the cells again, or leave the file out")
    data, of_raw = with_all_genes(data)
    check_rows_are_cells([str(name) for name in data.obs_names], where)
    features = split_features(data.var, where)
    rna = recognise(data, features, where) if features.gene_columns.size else None
    if rna is not None and rna.counts is not None:
        check_droplets(rna.counts, where)
    protein = find_proteins(data, features, where)
    if rna is None and (protein is None or protein.values is None):
        raise DataFileError("the file holds neither genes nor surface proteins", where)
    notes = [
        *map(str, data.uns.get(NOTES, ())),
        *of_raw,
        *features.notes,
        *([rna.note] if rna and rna.note else []),
        *(protein.notes if protein else ()),
    ]
    repeated = data.n_obs - data.obs_names.nunique()
    if repeated:
        notes.append(f"{repeated} cell names are duplicated")
    samples, sample_notes = _samples(data, features, where, sample_column, sample_id)
    return cell_data(
        np.asarray(data.obs_names.astype(str), dtype=object),
        samples,
        genes=features.genes if rna is not None else (),
        normalised=rna.normalised if rna else None,
        counts=rna.counts if rna else None,
        protein=protein.values if protein else None,
        protein_scale=protein.scale if protein else "counts",
        controls=protein.controls if protein else None,
        obs=data.obs,
        notes=(*notes, *sample_notes),
    )


def cells_of_sample(cells: AnnData, sample_id: str, where: str, *, alone: bool) -> AnnData:
    """Return a sample's cells: those its file calls so, or the whole file where the sample has it alone.

    Parameters
    ----------
    cells
        All cells of the file.
    sample_id
        The sample, as the study's sheet calls it.
    where
        The file, for messages.
    alone
        Whether no other sample is in the file.

    Raises
    ------
    DataFileError
        The file has several samples, and none of that name; or it holds events of tubes.
    """
    check_no_events(cells, where)
    samples = sample_ids_of(cells)
    named = samples == sample_id
    if not named.any() and not alone:
        shown = ", ".join(list(dict.fromkeys(map(str, samples)))[:5])
        raise DataFileError(f"the file has no cells of sample '{sample_id}'", where, f"its samples: {shown}")
    own = cells[named].copy() if named.any() else cells.copy()
    own.obs["sample_id"] = pd.Categorical([sample_id] * own.n_obs)
    return own


def check_no_events(data: AnnData, where: str) -> None:
    """Raise where what was read are events of tubes and not single cells.

    Parameters
    ----------
    data
        As `read_cells` gives it.
    where
        The file, for messages.

    Raises
    ------
    DataFileError
        They are events.
    """
    if is_events(data):
        raise DataFileError("the file holds events of tubes, not single cells", where, "gate their FCS files")


def join_cells(parts: Sequence[AnnData]) -> AnnData:
    """Return the cells of several files as one, with the genes and proteins that all of them have.

    Parameters
    ----------
    parts
        As `read_cells` gives them. Counts are kept only where every part holds them; proteins are counts only where
        all are.
    """
    from anndata import concat

    if len(parts) == 1:
        return parts[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Observation names are not unique")  # so are those of two files
        joined = concat(parts, join="inner")
    notes = list(dict.fromkeys(note for part in parts for note in notes_of(part)))
    most = max(part.n_vars for part in parts)
    if joined.n_vars < most:
        notes.append(f"{joined.n_vars} of up to {most} genes are in every file; the others are left out")
    tables = [proteins_of(part) for part in parts]
    scales = {proteins_are_counts(part) for part, table in zip(parts, tables, strict=True) if table is not None}
    if len(scales) > 1:
        drop_proteins(joined)
        notes.append("surface proteins are counts in some files and not in others; they are left out")
    elif lost := _not_everywhere(tables):
        notes.append(f"proteins that some files lack are left out: {', '.join(lost)}")
    scale = "counts" if scales <= {True} else "transformed"
    joined.uns[STORED] = {"modality": "single_cell", "protein_scale": scale, "notes": notes}
    return joined


def _not_everywhere(tables: Sequence[pd.DataFrame | None]) -> list[str]:
    """Return the proteins that a file has and another lacks."""
    columns = [() if table is None else tuple(map(str, table.columns)) for table in tables]
    return [name for name in dict.fromkeys(sum(columns, ())) if not all(name in own for own in columns)]


def _samples(
    data: AnnData, features: Features, where: str, column: str, sample_id: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the sample of each cell, and how it was found in words."""
    known = [str(name) for name in data.obs.columns]
    if column:
        if column not in known:
            hint = f"{nearest(column, known)} it has: {', '.join(known) or 'none'}".strip()
            raise DataFileError(f"obs has no column '{column}'", where, hint)
        return _texts(data.obs[column]), ()
    found = sample_column(known)
    if found:
        return _texts(data.obs[found]), (f"samples are named by obs['{found}']",)
    key = next((k for k in data.obsm if str(k).lower() in _HASHTAG_KEYS), None)
    if key is not None:
        table = data.obsm[key]
        names = [str(c) for c in table.columns] if isinstance(table, pd.DataFrame) else None
        values = table.to_numpy(dtype=np.float64) if isinstance(table, pd.DataFrame) else np.asarray(table, dtype=float)
        samples, found = hashtag_samples(values, names or [f"{key}_{i + 1}" for i in range(values.shape[1])])
        return samples, (f"samples are distinguished by the hashtags of obsm['{key}']", found)
    if len(features.hashtag_names) > 1:
        values = dense_proteins(data.layers.get("counts", data.X)[:, features.hashtag_columns])
        samples, found = hashtag_samples(values, features.hashtag_names)
        return samples, (
            f"samples are distinguished by {len(features.hashtag_names)} hashtags among the antibodies",
            found,
        )
    return np.full(data.n_obs, sample_id, dtype=object), _several_libraries(data)


def _several_libraries(data: AnnData) -> tuple[str, ...]:
    """Return a note where cell names end as those of several 10x libraries do, in -1, -2 ..."""
    ends = data.obs_names.astype(str).str.extract(r"^[ACGT]{10,}-(\d+)$")[0]
    numbers = sorted(ends.dropna().unique(), key=int)
    if len(numbers) < 2 or ends.isna().any():
        return ()
    shown = ", ".join(f"-{number}" for number in numbers[:3])
    return (
        f"cell names end in {shown}{' ...' if len(numbers) > 3 else ''}, as those of {len(numbers)} libraries do; "
        "all are one sample here: name the column of obs that tells them apart (sample_column, --sample)",
    )


def _texts(column: pd.Series) -> np.ndarray:
    values = column.astype("string").fillna("").to_numpy(dtype=object)
    return np.where(values == "", "unnamed", values)
