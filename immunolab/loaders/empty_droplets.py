"""Background of surface proteins from droplets without cells: the ambient part of dsb.

Antibody that floats in the suspension is counted in every droplet, with a cell or without one. What droplets without
cells show of each protein is the level that a cell without the protein has at least (Mule et al. 2022, Nat Commun
13:2099).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.errors import DataFileError
from immunolab.events.cells import (
    STORED,
    batches_of,
    keep_protein_background,
    notes_of,
    proteins_are_counts,
    proteins_of,
)
from immunolab.loaders.cell_files import open_cells
from immunolab.loaders.cell_proteins import read_proteins

if TYPE_CHECKING:
    from anndata import AnnData

Mask = NDArray[np.bool_]
_LEAST_COUNTS = 32  # protein counts of a droplet: fewer were hardly sequenced (10^1.5, the lower end that dsb takes)
_MOST_OF_CELLS = 0.05  # quantile of the cells' protein counts: a droplet with more may hold a cell (judgement)
_FEWEST = 100  # droplets: the mean of a protein has a standard error of a tenth of its sd


def add_background(cells: AnnData, empty: AnnData | Path | str) -> None:
    """Learn the background of proteins from droplets without cells, and store it with the cells.

    Parameters
    ----------
    cells
        Under the storage contract, with counts of surface proteins; gets the background and a note on it.
    empty
        Droplets without cells, or all droplets (10x's raw matrix): a file, a folder, or an AnnData. Droplets of a
        barcode that is a cell's, of under 32 protein counts, and of as many as cells have are left out. Where it names
        batches as the cells do (``obs["batch"]``), each batch has its own background.

    Raises
    ------
    DataFileError
        The cells have no counts of proteins, or the droplets lack a protein of the cells or are too few.
    """
    where = "empty" if not isinstance(empty, str | Path) else str(empty)
    protein = proteins_of(cells)
    if protein is None or not proteins_are_counts(cells):
        hint = "leave empty= out, or give the cells with counts of their antibodies"
        raise DataFileError("droplets without cells need cells with counts of surface proteins", where, hint)
    droplets = open_cells(Path(empty)) if isinstance(empty, str | Path) else empty
    found = read_proteins(droplets, where)
    lacking = [name for name in protein.columns if found is None or name not in found.columns]
    if found is None or lacking:
        hint = "give the raw matrix of the same library"
        raise DataFileError(f"the droplets lack proteins of the cells: {', '.join(lacking[:5])}", where, hint)
    counts = found[list(protein.columns)].to_numpy(dtype=np.float64)
    kept = _without_cells(counts, droplets, cells, protein)
    own, theirs = batches_of(cells), batches_of(droplets)
    level, spread = np.empty(protein.shape), np.empty(protein.shape)
    groups = _groups(own, theirs, cells.n_obs, len(counts))
    few = [name for name, _, inside in groups if (kept & inside).sum() < _FEWEST]
    if few:
        what = f"fewer than {_FEWEST} droplets without cells{' in ' + ', '.join(few) if few != [''] else ''}"
        hint = f"a droplet counts with {_LEAST_COUNTS} protein counts or more, and fewer than cells have"
        raise DataFileError(what, where, hint)
    for _, of_cells, inside in groups:
        own_droplets = counts[kept & inside]
        level[of_cells], spread[of_cells] = own_droplets.mean(axis=0), own_droplets.std(axis=0)
    keep_protein_background(cells, *(pd.DataFrame(x, columns=protein.columns) for x in (level, spread)))
    note = f"background of proteins: {int(kept.sum()):,} droplets without cells, {_in_words(own, groups)}"
    cells.uns[STORED]["notes"] = [*notes_of(cells), note]
    cells.uns[STORED].pop("notes_of_reading", None)  # labels, if there were any, are to be made again


def _in_words(own: NDArray[np.object_], groups: list[tuple[str, Mask, Mask]]) -> str:
    n = len(set(own))
    if n > 1 and len(groups) == 1:
        return f"one background for all {n} batches of the cells, which obs['batch'] of the droplets does not name"
    return f"one for each of {n} batches" if n > 1 else "one background"


def _without_cells(counts: NDArray[np.float64], droplets: AnnData, cells: AnnData, protein: pd.DataFrame) -> Mask:
    total = counts.sum(axis=1)
    most = float(np.quantile(protein.to_numpy().sum(axis=1), _MOST_OF_CELLS))
    of_cells = droplets.obs_names.isin(cells.obs_names)
    return np.asarray(~of_cells & (total >= _LEAST_COUNTS) & (total < most))


def _groups(
    own: NDArray[np.object_], theirs: NDArray[np.object_], n_cells: int, n_droplets: int
) -> list[tuple[str, Mask, Mask]]:
    """Return each batch with its cells and droplets; all as one where droplets do not name the cells' batches."""
    if len(own) and set(own) <= set(theirs):
        return [(str(name), own == name, theirs == name) for name in dict.fromkeys(own)]
    return [("", np.ones(n_cells, dtype=bool), np.ones(n_droplets, dtype=bool))]
